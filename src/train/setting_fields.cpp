// The table of settings.

#include <fmt/ranges.h>

#include "train/setting_builders.h"
#include <evenkeel/model/activation_kinds.h>
#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/optim/schedule.h>
#include <evenkeel/optim/table.h>

namespace evenkeel::train {
namespace {

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const model::NetworkInfo& info : model::networks()) names.push_back(info.name);
  names.emplace_back("config");
  return names;
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names{"auto"};
  for (const optim::OptimizerRow& row : optim::optimizers()) names.push_back(row.name);
  return names;
}

SettingField norm_field() {
  std::vector<std::string> names{"auto"};
  for (const model::NormKind& kind : model::norm_kinds()) {
    names.push_back(std::string(kind.name) +
                    (kind.number.empty() ? "" : fmt::format("[:{}]", kind.fallback)));
  }
  SettingField field =
      text_field("norm", fmt::format("{}", fmt::join(names, ", ")), &Settings::norm);
  field.set = [](Settings& settings, const OptionValue& value) {
    const std::string text = to_text("norm", value);
    if (text != "auto") (void)model::parse_norm(text);  // throws for one that does not exist
    settings.norm = text;
  };
  return field;
}

SettingField activation_field() {
  SettingField field =
      text_field("activation", "in place of ReLU: relu, leaky_relu[:0.01]", &Settings::activation);
  field.set = [](Settings& settings, const OptionValue& value) {
    const std::string text = to_text("activation", value);
    (void)model::parse_activation(text);  // throws for one that does not exist
    settings.activation = text;
  };
  return field;
}

SettingField schedule_field() {
  SettingField field = text_field(
      "schedule", "constant, step:EPOCHS,FACTOR, cosine or one-cycle:UP", &Settings::schedule);
  field.set = [](Settings& settings, const OptionValue& value) {
    const std::string spec = to_text("schedule", value);
    optim::Schedule(spec, {});  // throws for one that does not exist
    settings.schedule = spec;
  };
  return field;
}

/// The rate 0 stands for "auto" as well.
SettingField lr_field() {
  SettingField field = optional_field("lr", "peak learning rate", &Settings::lr, "auto", {});
  const auto set = field.set;
  field.set = [set](Settings& settings, const OptionValue& value) {
    set(settings, value);
    if (settings.lr == 0.0) settings.lr = std::nullopt;
  };
  return field;
}

/// The other convention of batch norm's momentum, converted here and nowhere else.
SettingField decay_field() {
  SettingField field{
      "decay", "1 - momentum, the other convention", SettingKind::number, {}, false, false, {}, {}};
  field.get = [](const Settings& settings) {
    return settings.momentum ? OptionValue(1 - *settings.momentum)
                             : OptionValue(std::string("cumulative"));
  };
  field.set = [](Settings& settings, const OptionValue& value) {
    settings.momentum = 1 - to_number("decay", value, {0, 1, false, false});
  };
  return field;
}

SettingField seed_field() {
  SettingField field{"seed", "seed of everything random", SettingKind::integer, {}, true, false, {},
                     {}};
  field.get = [](const Settings& settings) {
    return OptionValue(static_cast<std::int64_t>(settings.seed));
  };
  field.set = [](Settings& settings, const OptionValue& value) {
    settings.seed = static_cast<std::uint64_t>(to_integer("seed", value, {}));
  };
  return field;
}

SettingField changeable(SettingField field) {
  field.free_on_resume = true;
  return field;
}

std::vector<SettingField> make_fields() {
  using S = Settings;
  const NumberRange part{0, 1, false, true};
  return {
      choice_field("net", "the network", &S::net, network_names()),
      changeable(text_field("data", "the data set", &S::data)),
      integer_field("epochs", "passes over the training data", &S::epochs, {1, 1'000'000}),
      integer_field("batch_size", "samples per step", &S::batch_size, {2, 1 << 24}),
      integer_field("accumulate", "parts of a batch, one after another through the network",
                    &S::accumulate, {1, 1 << 23}),
      lr_field(),
      choice_field("optimizer", "sgd, adamw or auto", &S::optimizer, optimizer_names()),
      number_field("sgd_momentum", "momentum of sgd", &S::sgd_momentum, part),
      flag_field("nesterov", "Nesterov's momentum for sgd", &S::nesterov),
      schedule_field(),
      integer_field("warmup", "steps of linear warm-up", &S::warmup, {}),
      optional_field("weight_decay", "weight decay", &S::weight_decay, "auto", {}),
      flag_field("decay_norm", "weight decay on gamma and beta too", &S::decay_norm),
      number_field("clip", "largest gradient norm; 0: off", &S::clip, {}),
      number_field("label_smoothing", "of the cross-entropy", &S::label_smoothing, part),
      number_field("ema", "decay of a moving average of the weights; 0: none", &S::ema, part),
      number_field("swa", "part of the run, or epochs, before weights are averaged; 0: none",
                   &S::swa, {}),
      optional_field("swa_lr", "learning rate while weights are averaged", &S::swa_lr, "scheduled",
                     {}),
      norm_field(),
      choice_field("placement", "norm before or after the activation, or at the input only",
                   &S::placement, {"before", "after", "input"}),
      activation_field(),
      number_field("eps", "epsilon of the normalization", &S::eps, {}),
      optional_field("momentum", "weight of the new value in batch norm's running statistics",
                     &S::momentum, "cumulative", {0, 1, false, false}),
      decay_field(),
      number_field("dropout", "after each hidden block", &S::dropout, part),
      flag_field("weight_standardization", "standardize the kernels of convolutions",
                 &S::weight_standardization),
      choice_field("augment", "changes to training images", &S::augment,
                   {"auto", "none", "flip", "crop", "flip,crop"}),
      number_field("validation", "part of the training samples kept for validation", &S::validation,
                   part),
      integer_field("patience", "epochs without a better validation accuracy; 0: off", &S::patience,
                    {}),
      seed_field(),
      changeable(integer_field("threads", "0: one per processor", &S::threads, {0, 4096})),
      flag_field("deterministic", "the same bits for any number of threads", &S::deterministic),
      flag_field("fusion", "fuse batch norm with what follows", &S::fusion),
      changeable(choice_field("memory",
                              "keep, normal or save: ever less for backward, computed again",
                              &S::memory, {"keep", "normal", "save"})),
      choice_field("layout", "memory order of images", &S::layout,
                   {"auto", "channels_first", "channels_last"}),
      choice_field("dtype", "of activations: f32, or bf16 with f32 parameters", &S::dtype,
                   {"f32", "bf16"}),
      changeable(text_field("out", "the run folder", &S::out)),
      changeable(flag_field("replace", "replace a run in that folder", &S::replace)),
      changeable(flag_field("resume", "go on with the run in that folder", &S::resume)),
      changeable(integer_field("checkpoint_every", "epochs between checkpoints; 0: none",
                               &S::checkpoint_every, {})),
      changeable(integer_field("checkpoint_steps", "steps between further checkpoints; 0: none",
                               &S::checkpoint_steps, {})),
      integer_field("eval_every", "steps between evaluations; 0: off", &S::eval_every, {}),
      changeable(integer_field("probe_every", "steps between probes of gradients and norms; 0: off",
                               &S::probe_every, {})),
  };
}

}  // namespace

std::span<const SettingField> setting_fields() {
  static const std::vector<SettingField> fields = make_fields();
  return fields;
}

}  // namespace evenkeel::train
