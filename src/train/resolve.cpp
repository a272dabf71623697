// What "auto" means, and which settings do not go together.

#include <array>
#include <cmath>

#include <evenkeel/core/error.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::train {
namespace {

/// Peak rates that were found good with the one-cycle schedule, and the weight decay beside them.
struct Defaults {
  std::string_view net;
  double sgd_lr;
  double sgd_lr_without_norm;
  double adamw_lr;
  double weight_decay;
  std::string_view optimizer = "sgd";
};

constexpr std::array<Defaults, 11> kDefaults{{
    {"mlp", 0.1, 0.02, 2e-3, 5e-4},
    {"paper-mlp", 0.5, 0.1, 5e-3, 0},
    {"convnet", 0.1, 0.01, 2e-3, 5e-4},
    {"resnet20", 0.2, 0.02, 2e-3, 5e-4},
    {"resnet50", 0.1, 0.01, 1e-3, 1e-4},
    {"preact-resnet20", 0.2, 0.02, 2e-3, 5e-4},
    {"inception-small", 0.1, 0.01, 2e-3, 5e-4},
    {"densenet-small", 0.1, 0.02, 2e-3, 5e-4},
    {"mobilenet-small", 0.1, 0.01, 2e-3, 5e-4},
    {"encoder-small", 0.02, 0.02, 2e-3, 5e-4, "adamw"},
    {"config", 0.05, 0.01, 1e-3, 1e-4},
}};

const Defaults& defaults_of(const std::string& net) {
  for (const Defaults& row : kDefaults) {
    if (row.net == net) return row;
  }
  return kDefaults.back();
}

std::string usual_norm(const std::string& net) {
  for (const model::NetworkInfo& info : model::networks()) {
    if (info.name == net) return info.usual_norm;
  }
  return "batch";
}

bool is_image(const Shape& sample) { return sample.rank() == 3; }

}  // namespace

void check(const Settings& settings) {
  if (settings.net == "config" && settings.layers.empty()) {
    fail<UsageError>(
        "[settings] 'net' is config, but there is no list of layers; give [[layer]] entries in a "
        "config file, or a name such as mlp");
  }
  if (settings.net != "config" && !settings.layers.empty()) {
    fail<UsageError>(
        "[settings] the config lists layers, but 'net' is {}; leave out one of the two",
        settings.net);
  }
  if (2 * settings.accumulate > settings.batch_size && settings.accumulate > 1) {
    fail<UsageError>(
        "[settings] 'accumulate' {} leaves less than two samples to a part of 'batch_size' {}; "
        "give {} or less",
        settings.accumulate, settings.batch_size, settings.batch_size / 2);
  }
  if (settings.patience > 0 && settings.validation == 0) {
    fail<UsageError>(
        "[settings] 'patience' needs a validation part; give 'validation', such as 0.1");
  }
  if (settings.swa >= 1 && settings.swa != std::floor(settings.swa)) {
    fail<UsageError>(
        "[settings] 'swa' is a part of the run below 1, such as 0.75, or a whole number of epochs, "
        "got {}",
        settings.swa);
  }
  if (settings.swa >= static_cast<double>(settings.epochs) && settings.swa >= 1) {
    fail<UsageError>(
        "[settings] 'swa' {} leaves no epoch of {} to average; give fewer, or a part such as 0.75",
        settings.swa, settings.epochs);
  }
  if (settings.swa_lr && settings.swa == 0) {
    fail<UsageError>("[settings] 'swa_lr' needs averaging; give 'swa', such as 0.75");
  }
  if (settings.resume && settings.out.empty()) {
    fail<UsageError>("[settings] 'resume' needs the run folder; give 'out'");
  }
  if (settings.resume && settings.replace) {
    fail<UsageError>("[settings] 'resume' and 'replace' exclude each other; give one of them");
  }
}

Settings resolve(const Settings& settings, const Shape& sample) {
  Settings result = settings;
  const Defaults& row = defaults_of(settings.net);
  if (result.norm == "auto") result.norm = usual_norm(result.net);
  if (result.optimizer == "auto") result.optimizer = row.optimizer;
  const bool sgd = result.optimizer == "sgd";
  if (result.nesterov && (!sgd || result.sgd_momentum == 0)) {
    fail<UsageError>(
        "[settings] 'nesterov' needs the optimizer sgd with 'sgd_momentum' above 0, got {}",
        result.optimizer);
  }
  if (!result.lr) {
    const bool plain = result.norm == "none";
    result.lr = sgd ? (plain ? row.sgd_lr_without_norm : row.sgd_lr) : row.adamw_lr;
  }
  if (!result.weight_decay) result.weight_decay = sgd ? row.weight_decay : 0.01;
  const bool images = is_image(sample);
  if (result.augment == "auto") {
    result.augment = images && sample[0] == 3 ? "flip,crop" : "none";
  } else if (result.augment != "none" && !images) {
    fail<UsageError>("[settings] 'augment' {} needs images, got samples of shape {}",
                     result.augment, sample.str());
  }
  if (result.layout == "auto") {
    const bool last = model::prefers_channels_last(network_options(result, sample, 2));
    result.layout = last ? "channels_last" : "channels_first";
  }
  return result;
}

model::NetworkOptions network_options(const Settings& settings, const Shape& sample,
                                      std::int64_t classes) {
  model::NetworkOptions options;
  options.net = settings.net;
  options.norm = settings.norm;
  options.placement = settings.placement == "after"   ? model::Placement::after
                      : settings.placement == "input" ? model::Placement::input
                                                      : model::Placement::before;
  options.activation = settings.activation;
  options.eps = settings.eps;
  options.momentum = settings.momentum;
  options.dropout = settings.dropout;
  options.weight_standardization = settings.weight_standardization;
  options.input = sample;
  options.classes = classes;
  options.layers = settings.layers;
  // What a row says itself holds. Numbers that are usual are those of the layers too (RMSNorm's own
  // eps is another).
  const Settings usual;
  const auto eps = settings.eps == usual.eps ? std::nullopt : std::optional<double>(settings.eps);
  const auto* momentum = settings.momentum == usual.momentum ? nullptr : &settings.momentum;
  model::set_norm_numbers(options.layers, model::norm_numbers(eps, momentum),
                          model::NormRows::silent);
  return options;
}

}  // namespace evenkeel::train
