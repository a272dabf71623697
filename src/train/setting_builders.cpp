#include "train/setting_builders.h"

#include <algorithm>
#include <cmath>

#include <fmt/ranges.h>

namespace evenkeel::train {
namespace {

[[noreturn]] void refuse(const std::string& key, const std::string& wanted,
                         const OptionValue& value) {
  fail<UsageError>("[settings] '{}' expects {}, got {}", key, wanted, to_string(value));
}

std::string words_of(const IntegerRange& range) {
  if (range.high == std::numeric_limits<std::int64_t>::max()) {
    return fmt::format("{} or more", range.low);
  }
  return fmt::format("a whole number from {} to {}", range.low, range.high);
}

std::string words_of(const NumberRange& range) {
  const std::string low = fmt::format("{} {}", range.open_low ? "above" : "of at least", range.low);
  if (std::isinf(range.high)) return "a finite number " + low;
  return fmt::format("a number {} and {} {}", low, range.open_high ? "below" : "at most",
                     range.high);
}

}  // namespace

std::int64_t to_integer(const std::string& key, const OptionValue& value,
                        const IntegerRange& range) {
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr || *number < range.low || *number > range.high) {
    refuse(key, words_of(range), value);
  }
  return *number;
}

double to_number(const std::string& key, const OptionValue& value, const NumberRange& range) {
  double number = std::nan("");
  if (const auto* d = std::get_if<double>(&value)) number = *d;
  if (const auto* i = std::get_if<std::int64_t>(&value)) number = static_cast<double>(*i);
  const bool above = range.open_low ? number > range.low : number >= range.low;
  const bool below = range.open_high ? number < range.high : number <= range.high;
  if (!(above && below && std::isfinite(number))) refuse(key, words_of(range), value);
  return number;
}

bool to_flag(const std::string& key, const OptionValue& value) {
  const auto* flag = std::get_if<bool>(&value);
  if (flag == nullptr) refuse(key, "true or false", value);
  return *flag;
}

std::string to_text(const std::string& key, const OptionValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) refuse(key, "a text", value);
  return *text;
}

SettingField flag_field(std::string key, std::string help, bool Settings::*member) {
  SettingField field{key, std::move(help), SettingKind::flag, {}, true, false, {}, {}};
  field.get = [member](const Settings& settings) { return OptionValue(settings.*member); };
  field.set = [member, key](Settings& settings, const OptionValue& value) {
    settings.*member = to_flag(key, value);
  };
  return field;
}

SettingField integer_field(std::string key, std::string help, std::int64_t Settings::*member,
                           IntegerRange range) {
  SettingField field{key, std::move(help), SettingKind::integer, {}, true, false, {}, {}};
  field.get = [member](const Settings& settings) { return OptionValue(settings.*member); };
  field.set = [member, key, range](Settings& settings, const OptionValue& value) {
    settings.*member = to_integer(key, value, range);
  };
  return field;
}

SettingField number_field(std::string key, std::string help, double Settings::*member,
                          NumberRange range) {
  SettingField field{key, std::move(help), SettingKind::number, {}, true, false, {}, {}};
  field.get = [member](const Settings& settings) { return OptionValue(settings.*member); };
  field.set = [member, key, range](Settings& settings, const OptionValue& value) {
    settings.*member = to_number(key, value, range);
  };
  return field;
}

SettingField optional_field(std::string key, std::string help,
                            std::optional<double> Settings::*member, std::string word,
                            NumberRange range) {
  SettingField field{key, std::move(help), SettingKind::number, {word}, true, false, {}, {}};
  field.get = [member, word](const Settings& settings) {
    const std::optional<double>& value = settings.*member;
    return value ? OptionValue(*value) : OptionValue(word);
  };
  field.set = [member, key, word, range](Settings& settings, const OptionValue& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      if (*text != word) {
        refuse(key, fmt::format("{} or '{}'", words_of(range), word), value);
      }
      settings.*member = std::nullopt;
      return;
    }
    settings.*member = to_number(key, value, range);
  };
  return field;
}

SettingField text_field(std::string key, std::string help, std::string Settings::*member) {
  SettingField field{key, std::move(help), SettingKind::text, {}, true, false, {}, {}};
  field.get = [member](const Settings& settings) { return OptionValue(settings.*member); };
  field.set = [member, key](Settings& settings, const OptionValue& value) {
    settings.*member = to_text(key, value);
  };
  return field;
}

SettingField choice_field(std::string key, std::string help, std::string Settings::*member,
                          std::vector<std::string> choices) {
  SettingField field = text_field(key, std::move(help), member);
  field.set = [member, key, choices](Settings& settings, const OptionValue& value) {
    const std::string text = to_text(key, value);
    if (std::ranges::find(choices, text) == choices.end()) {
      fail<UsageError>("[settings] '{}' expects one of {}, got '{}'{}", key,
                       fmt::join(choices, ", "), text, did_you_mean(text, choices));
    }
    settings.*member = text;
  };
  return field;
}

}  // namespace evenkeel::train
