#include <algorithm>
#include <charconv>

#include <evenkeel/core/error.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::train {
namespace {

std::string with_underscores(std::string_view key) {
  std::string result(key);
  std::ranges::replace(result, '-', '_');
  return result;
}

std::string with_dashes(std::string_view key) {
  std::string result(key);
  std::ranges::replace(result, '_', '-');
  return result;
}

template <class T>
bool parse_all(const std::string& text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && !text.empty();
}

/// The text as the kind of value that the field wants; where it is none, the text itself, which the
/// field then refuses in its own words.
OptionValue parse_value(const SettingField& field, const std::string& text) {
  std::int64_t integer = 0;
  double number = 0;
  switch (field.kind) {
    case SettingKind::flag:
      if (text == "true" || text == "on" || text == "1" || text.empty()) return true;
      if (text == "false" || text == "off" || text == "0") return false;
      break;
    case SettingKind::integer:
      if (parse_all(text, integer)) return integer;
      break;
    case SettingKind::number:
      if (parse_all(text, number)) return number;
      break;
    case SettingKind::text:
      break;
  }
  return text;
}

}  // namespace

const SettingField& find_setting(std::string_view key) {
  const std::string wanted = with_underscores(key);
  std::vector<std::string> keys;
  for (const SettingField& field : setting_fields()) {
    if (field.key == wanted) return field;
    keys.push_back(field.key);
  }
  const std::string hint = did_you_mean(wanted, keys);
  fail<UsageError>("[settings] unknown key '{}'{}", key,
                   hint.empty() ? "; 'evenkeel train --help' lists them" : hint);
}

std::string flag_of(const SettingField& field) { return "--" + with_dashes(field.key); }

void set_from_text(Settings& settings, std::string_view key, const std::string& text) {
  const SettingField& field = find_setting(key);
  field.set(settings, parse_value(field, text));
}

Settings settings_from(const model::Config& config) {
  Settings settings;
  if (!config.layers.empty()) {
    settings.net = "config";
    settings.layers = config.layers;
  }
  if (config.values.contains("momentum") && config.values.contains("decay")) {
    fail<UsageError>("[settings] 'momentum' and 'decay' say the same thing; give one of them");
  }
  std::vector<std::string> seen;
  for (const auto& [key, value] : config.values.values()) {
    const SettingField& field = find_setting(key);
    if (std::ranges::find(seen, field.key) != seen.end()) {
      fail<UsageError>("[settings] '{}' is given twice, as '{}' and as '{}'", field.key, field.key,
                       with_dashes(field.key));
    }
    seen.push_back(field.key);
    field.set(settings, value);
  }
  return settings;
}

model::Config to_config(const Settings& settings) {
  model::Config config;
  for (const SettingField& field : setting_fields()) {
    if (field.stored) config.values.set(field.key, field.get(settings));
  }
  if (settings.net == "config") config.layers = settings.layers;
  return config;
}

DType dtype_of(const Settings& settings) {
  return settings.dtype == name_of(DType::bf16) ? DType::bf16 : DType::f32;
}

Settings stored_settings(const std::filesystem::path& folder) {
  const model::RunFolder run = model::RunFolder::open(folder);
  Settings settings = settings_from(model::read_config(run.config()));
  settings.out = folder.string();
  settings.resume = true;
  settings.replace = false;
  return settings;
}

}  // namespace evenkeel::train
