// What the checks look at, and where they write what they find.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "deploy/doctor/survey.h"
#include <evenkeel/deploy/doctor.h>
#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::deploy {

/// One batch norm: its state, and what is known of its input.
struct NormFacts {
  nn::BatchNorm* layer = nullptr;
  bool tracked = false;                        ///< it has running statistics
  bool held = false;                           ///< and they are frozen
  std::vector<double> gamma, beta, mean, var;  ///< per channel; empty where it has none
  std::int64_t batches = 0;                    ///< num_batches_tracked
  std::optional<Shape> input;                  ///< of one training batch
  std::optional<std::size_t> step;             ///< of the flow
  const LayerSurvey* survey = nullptr;         ///< null without data

  const std::string& path() const { return layer->path(); }
  double eps() const { return layer->settings().eps; }
  std::size_t channels() const { return static_cast<std::size_t>(layer->channels()); }
  /// Whether the channel's running statistics are numbers that a variance and a mean can be.
  bool sound(std::size_t channel) const;
};

/// A tensor that a module holds itself, not its children.
struct OwnTensor {
  std::string layer;  ///< path of the module
  std::string name;
  Tensor value;
};

struct Examination {
  Examination(nn::Module& examined, const DoctorOptions& given, const Survey* data);

  nn::Module& network;
  const DoctorOptions& options;
  const Survey* surveyed;  ///< null without data
  nn::Flow flow;
  std::vector<NormFacts> norms;
  std::vector<OwnTensor> parameters, buffers;

  /// Whether a norm's input is the network's own, behind nothing that learns.
  bool sees_raw_input(const NormFacts& norm) const;
};

/// Gathers the findings of one check.
class Findings {
 public:
  Findings(nn::Module& network, std::vector<Finding>& out);

  void begin(const CheckInfo& check) { check_ = &check; }
  /// Of the check's severity, or a milder one.
  void add(const std::string& layer, std::string evidence);
  /// `before` stands before the remedy.
  void add(const std::string& layer, std::string evidence, Severity severity,
           const std::string& before = {});

 private:
  const CheckInfo* check_ = nullptr;
  std::map<std::string, std::string> types_;  // of the layers, by path
  std::vector<Finding>& out_;
};

/// Whether the running statistics differ from those of the data; false without data.
bool unlike_data(const NormFacts& norm);

/// "all 64 channels", "channel 3 of 64", "5 of 64 channels (1, 7, 9, …)".
std::string channels_text(const std::vector<std::size_t>& chosen, std::size_t all);

/// One check: a row of the table.
struct Check {
  CheckInfo info;
  void (*run)(const Examination& patient, Findings& findings);
};
const std::vector<Check>& checks();

// The functions of the table, by family. check_values.cpp:
void check_weights(const Examination& patient, Findings& findings);
void check_statistics_finite(const Examination& patient, Findings& findings);
void check_negative(const Examination& patient, Findings& findings);
void check_exploded(const Examination& patient, Findings& findings);
// check_updates.cpp:
void check_never_updated(const Examination& patient, Findings& findings);
void check_few_updates(const Examination& patient, Findings& findings);
void check_momentum(const Examination& patient, Findings& findings);
// check_channels.cpp:
void check_dead(const Examination& patient, Findings& findings);
void check_constant(const Examination& patient, Findings& findings);
void check_eps(const Examination& patient, Findings& findings);
// check_batches.cpp:
void check_training_mode(const Examination& patient, Findings& findings);
void check_untracked(const Examination& patient, Findings& findings);
void check_tiny_batch(const Examination& patient, Findings& findings);
// check_neighbours.cpp:
void check_dropout(const Examination& patient, Findings& findings);
void check_bias(const Examination& patient, Findings& findings);
void check_foldable(const Examination& patient, Findings& findings);
// check_data.cpp:
void check_values_finite(const Examination& patient, Findings& findings);
void check_far_apart(const Examination& patient, Findings& findings);
void check_mode_gap(const Examination& patient, Findings& findings);

}  // namespace evenkeel::deploy
