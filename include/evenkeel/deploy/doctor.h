// The doctor: what is wrong with the batch norms of a network, where it shows and what helps.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/data/dataset.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::deploy {

enum class Severity : std::uint8_t {
  info,     ///< worth knowing; nothing is wrong
  warning,  ///< the network is probably worse than it could be
  error     ///< it computes something else than it was trained for
};

std::string_view name_of(Severity severity);

/// One row of the table of checks (docs/doctor.md has them with their reasons).
struct CheckInfo {
  std::string_view name;                  ///< "never-updated"; that of its findings
  Severity severity = Severity::warning;  ///< the gravest of its findings
  bool needs_data = false;
  std::string_view looks_at;     ///< one line
  std::string_view consequence;  ///< of its findings
  std::string_view remedy;
};

/// All checks, the gravest first.
const std::vector<CheckInfo>& doctor_checks();

/// What a check found in one layer.
struct Finding {
  std::string name;  ///< of the check
  Severity severity = Severity::warning;
  std::string layer;  ///< its path; "" for the network as a whole
  std::string type;   ///< of the layer
  std::string evidence, consequence, remedy;
};

struct DoctorOptions {
  /// Samples that normalize together in training; without it, batches are not judged.
  std::optional<std::int64_t> training_batch = std::nullopt;
  std::optional<Shape> sample = std::nullopt;  ///< of one sample; with a data set, that of its own
  /// Whether the running statistics were taken anew after training: num_batches_tracked then says
  /// nothing of how settled they are.
  bool recalibrated = false;
  /// Paths of the batch norms that an exported model leaves in training mode
  /// (ImportedModel::training_norms).
  std::vector<std::string> training_norms = {};

  // Of the passes over data.
  std::int64_t samples = 2048;  ///< of the data set at most, drawn by the seed; 0: all
  /// Samples at a time; 0: as in training, or 64 where that is not known.
  std::int64_t batch_size = 0;
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;    ///< of the activations
  bool probabilities = false;  ///< the network gives them, not logits
  /// It is not known how inputs are normalized: what looks like stale statistics may be that.
  bool inputs_unknown = false;
  std::uint64_t seed = 0;  ///< of the order of the samples
  /// Samples through the network so far, over all passes; may be empty.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
};

/// How good a network is on the data.
struct Quality {
  double accuracy = 0;  ///< 0 to 1
  double loss = 0;      ///< mean cross-entropy
};

struct Diagnosis {
  std::vector<Finding> findings;  ///< the gravest first, then as doctor_checks(), layer by layer
  std::size_t norms = 0;          ///< batch norms of the network
  std::vector<std::string> left_out;  ///< what was not looked at, and why, one line each
  std::int64_t samples = 0;           ///< of the data set that were used
  std::int64_t batch_size = 0;        ///< of the passes over data
  /// With the running statistics, and with those of each batch (dropout is off in both); empty
  /// without labels that fit the network's output.
  std::optional<Quality> running, batch;

  /// The gravest severity; empty without findings.
  std::optional<Severity> worst() const;
  std::size_t count(Severity severity) const;
};

/// Looks at the network alone: its layers, options and state. Never throws for what is wrong with
/// the network; that is a finding.
Diagnosis diagnose(const nn::Module& network, const DoctorOptions& options = {});

/// Looks at what data make of it as well: once with the running statistics, once with those of each
/// batch. Works on a copy of the network. Labels that do not fit the network's output are not used.
///
/// Throws UsageError for fewer than two samples or options out of range, and what the network
/// throws for samples that do not fit it.
Diagnosis diagnose(const nn::Module& network, const data::Dataset& dataset,
                   const data::Normalization& normalization, const DoctorOptions& options = {});

}  // namespace evenkeel::deploy
