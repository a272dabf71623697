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
      {"What", {"net", "data", "out", "epochs", "batch_size", "seed"}},
      {"Normalization", {"norm", "placement", "eps", "momentum", "decay"}},
      {"Optimization",
       {"optimizer", "lr", "schedule", "warmup", "weight_decay", "decay_norm", "sgd_momentum",
        "nesterov", "clip", "label_smoothing", "dropout", "augment"}},
      {"Validation", {"validation", "patience", "eval_every"}},
      {"Run",
       {"resume", "replace", "checkpoint_every", "threads", "deterministic", "layout", "fusion"}},
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
  const OptionValue value = field.get(train::Settings());
  if (const bool* on = std::get_if<bool>(&value)) {
    return *on ? fmt::format("{} (on)", field.help) : field.help;
  }
  const std::string text = to_string(value);
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

void TrainFlags::add_to(CLI::App& app) {
  for (const std::string& key : ordered_keys()) {
    const train::SettingField& field = train::find_setting(key);
    const std::string flag = train::flag_of(field);
    CLI::Option* option = nullptr;
    if (field.kind == train::SettingKind::flag) {
      // --fusion and --no-fusion; the help shows the one that changes something.
      const bool on = std::get<bool>(field.get(train::Settings()));
      const std::string no = "--no-" + flag.substr(2);
      option = app.add_flag(fmt::format("{},!{}", flag, no), switches_[key], help_of(field));
      option->option_text(" ");
      if (on) option->description(help_of(field) + "; " + no + " switches it off");
    } else {
      option = app.add_option(flag, texts_[key], help_of(field))->option_text(placeholder(field));
    }
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)->group(group_of(key));
    options_[key] = option;
  }
}

void TrainFlags::apply(train::Settings& settings) const {
  for (const auto& [key, option] : options_) {
    if (option->count() == 0) continue;
    const auto text = texts_.find(key);
    if (text != texts_.end()) {
      train::set_from_text(settings, key, text->second);
    } else {
      train::set_from_text(settings, key, switches_.at(key) ? "true" : "false");
    }
  }
}

}  // namespace evenkeel::app
