#include "train_flags.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "text.h"

namespace evenkeel::app {
namespace {

/// How --help sorts the flags; what is not named here stands under "More".
struct Group {
  std::string title;
  std::vector<std::string_view> keys;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> table = {
      {"Network and data", {"net", "data", "out", "epochs", "batch_size", "seed"}},
      {"Normalization",
       {"norm", "placement", "activation", "eps", "momentum", "decay", "weight_standardization"}},
      {"Optimization",
       {"optimizer", "lr", "schedule", "warmup", "weight_decay", "decay_norm", "sgd_momentum",
        "nesterov", "accumulate", "clip", "label_smoothing", "dropout", "augment"}},
      {"Averages of the weights", {"ema", "swa", "swa_lr"}},
      {"Validation", {"validation", "patience", "eval_every", "probe_every"}},
      {"Run",
       {"resume", "replace", "checkpoint_every", "checkpoint_steps", "threads", "deterministic",
        "layout", "dtype", "fusion", "memory"}},
  };
  return table;
}

std::string group_of(const std::string& key) {
  for (const Group& group : groups()) {
    if (std::ranges::find(group.keys, key) != group.keys.end()) return group.title;
  }
  return "More";
}

std::string placeholder(const train::SettingField& field) {
  if (field.key == "out") return "RUN";
  if (field.key == "data") return "SPEC";
  switch (field.kind) {
    case train::SettingKind::integer:
      return "N";
    case train::SettingKind::number:
      return "X";
    case train::SettingKind::text:
    case train::SettingKind::flag:
      break;
  }
  return "NAME";
}

/// "the network (mlp)": what it is, and what holds without the flag.
std::string help_of(const train::SettingField& field) {
  const std::string text = to_string(field.get(train::Settings()));
  return text.empty() ? field.help : fmt::format("{} ({})", field.help, text);
}

std::vector<std::string> ordered_keys() {
  std::vector<std::string> keys;
  for (const Group& group : groups()) keys.insert(keys.end(), group.keys.begin(), group.keys.end());
  for (const train::SettingField& field : train::setting_fields()) {
    if (group_of(field.key) == "More") keys.push_back(field.key);
  }
  return keys;
}

}  // namespace

/// The help shows the one that changes something.
void TrainFlags::add_switch(CLI::App& app, const train::SettingField& field) {
  const std::string flag = train::flag_of(field);
  const std::string negation = "do not " + field.help;
  const bool on = std::get<bool>(field.get(train::Settings()));
  const std::string group = group_of(field.key);
  Given& given = given_[field.key];
  given.option = app.add_flag(flag)->description(field.help)->group(on ? "" : group);
  given.no_option =
      app.add_flag("--no-" + flag.substr(2))->description(negation)->group(on ? group : "");
}

void TrainFlags::add_text(CLI::App& app, const train::SettingField& field) {
  CLI::Option* option = app.add_option(train::flag_of(field), texts_[field.key], help_of(field));
  option->option_text(placeholder(field))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->group(group_of(field.key));
  given_[field.key].option = option;
}

void TrainFlags::add_to(CLI::App& app) {
  for (const std::string& key : ordered_keys()) {
    const train::SettingField& field = train::find_setting(key);
    if (field.kind == train::SettingKind::flag) {
      add_switch(app, field);
    } else {
      add_text(app, field);
    }
  }
}

void TrainFlags::apply(train::Settings& settings) const {
  for (const auto& [key, given] : given_) {
    if (given.no_option != nullptr && given.no_option->count() > 0) {
      train::set_from_text(settings, key, "false");
    } else if (given.option->count() > 0) {
      const auto text = texts_.find(key);
      train::set_from_text(settings, key, text == texts_.end() ? "true" : text->second);
    }
  }
}

}  // namespace evenkeel::app
