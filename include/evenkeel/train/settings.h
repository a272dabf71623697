// Every option of a training run, in one table: config keys, command-line flags and printing derive
// from it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/core/dtype.h>
#include <evenkeel/core/options.h>
#include <evenkeel/core/shape.h>
#include <evenkeel/model/config.h>
#include <evenkeel/model/network.h>

namespace evenkeel::train {

/// What a run does. The defaults are good: a net and a data set suffice. Empty optionals ("auto" in
/// files and flags) are chosen by resolve().
struct Settings {
  std::string net = "mlp";
  std::vector<model::LayerSpec> layers;  ///< of net = "config"
  std::string data = "glyphs";

  std::int64_t epochs = 5;
  std::int64_t batch_size = 64;
  std::int64_t accumulate = 1;     ///< parts of a batch that go through the network one by one
  std::optional<double> lr;        ///< the peak of the schedule
  std::string optimizer = "auto";  ///< sgd, or adamw for encoder-small
  double sgd_momentum = 0.9;
  bool nesterov = false;
  std::string schedule = "one-cycle";
  std::int64_t warmup = 0;  ///< steps
  std::optional<double> weight_decay;
  bool decay_norm = false;
  double clip = 0;  ///< 0: off
  double label_smoothing = 0;

  double ema = 0;  ///< decay of a moving average of the weights; 0: none
  /// Where averaging of the epochs' last weights begins: a part of the run, or from 1 a number of
  /// epochs; 0: none.
  double swa = 0;
  std::optional<double> swa_lr;  ///< the rate from there on; empty: as scheduled

  std::string norm = "auto";  ///< a word of norm_kinds(); auto: batch, or layer in encoder-small
  std::string placement = "before";
  std::string activation = "auto";  ///< in place of ReLU; see model::parse_activation()
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< of batch norm; empty: cumulative average
  double dropout = 0;
  bool weight_standardization = false;  ///< of convolutions

  std::string augment = "auto";  ///< none, flip, crop, flip,crop
  double validation = 0;         ///< part of the training samples
  std::int64_t patience = 0;     ///< epochs without a better validation accuracy; 0: off

  std::uint64_t seed = 1;
  std::int64_t threads = 0;  ///< 0: as the process is set
  bool deterministic = false;
  bool fusion = true;
  std::string memory = "normal";  ///< keep, normal, save: see nn::set_memory
  std::string layout = "auto";    ///< channels_first, channels_last
  std::string dtype = "f32";      ///< of activations and their gradients: f32 or bf16

  std::string out;  ///< the run folder; empty: runs/NET-DATA, numbered where it exists
  bool replace = false;
  bool resume = false;
  std::int64_t checkpoint_every = 1;  ///< epochs; 0: only when interrupted
  std::int64_t checkpoint_steps = 0;  ///< steps between further checkpoints; 0: none
  std::int64_t eval_every = 0;        ///< steps; 0: off
  std::int64_t probe_every = 0;       ///< steps between probes in the metrics; 0: off
};

enum class SettingKind : std::uint8_t { flag, integer, number, text };

/// One row of the table of settings.
struct SettingField {
  std::string key;   ///< "batch_size"; the flag is --batch-size
  std::string help;  ///< one line
  SettingKind kind = SettingKind::text;
  /// Words that stand for a value that is no number, such as "auto".
  std::vector<std::string> words;
  /// False for another spelling of a field (decay for momentum), which is read but never written.
  bool stored = true;
  /// Whether a resumed run may change it without becoming another run.
  bool free_on_resume = false;
  std::function<OptionValue(const Settings&)> get;
  /// Throws UsageError for a value of the wrong type or out of range.
  std::function<void(Settings&, const OptionValue&)> set;
};

std::span<const SettingField> setting_fields();
/// The row of a key, written with underscores or dashes. Throws UsageError for an unknown one, with
/// the nearest.
const SettingField& find_setting(std::string_view key);
/// "--batch-size"
std::string flag_of(const SettingField& field);
/// Sets a field from the text of a command line.
void set_from_text(Settings& settings, std::string_view key, const std::string& text);

/// From a config file and back; to_config writes every stored field. Throws UsageError like set.
Settings settings_from(const model::Config& config);
model::Config to_config(const Settings& settings);
/// What the run in `folder` was started with, out set to the folder and resume to true: the start
/// for resuming. Throws IoError if there is none.
Settings stored_settings(const std::filesystem::path& folder);

/// Throws UsageError for fields that do not go together.
void check(const Settings& settings);
/// The same settings with everything "auto" chosen for samples of shape `sample`.
Settings resolve(const Settings& settings, const Shape& sample);
/// As the setting names it.
DType dtype_of(const Settings& settings);
/// What the network is built from.
model::NetworkOptions network_options(const Settings& settings, const Shape& sample,
                                      std::int64_t classes);

}  // namespace evenkeel::train
