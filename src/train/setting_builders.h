// Builders for the rows of the table of settings: each checks a value's type and range once.
#pragma once

#include <limits>

#include <evenkeel/core/error.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::train {

/// A range and how people say it.
struct IntegerRange {
  std::int64_t low = 0;
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
};
struct NumberRange {
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  bool open_low = false;   ///< `low` itself is outside
  bool open_high = false;  ///< `high` itself is outside
};

std::int64_t to_integer(const std::string& key, const OptionValue& value,
                        const IntegerRange& range);
double to_number(const std::string& key, const OptionValue& value, const NumberRange& range);
bool to_flag(const std::string& key, const OptionValue& value);
std::string to_text(const std::string& key, const OptionValue& value);

SettingField flag_field(std::string key, std::string help, bool Settings::*member);
SettingField integer_field(std::string key, std::string help, std::int64_t Settings::*member,
                           IntegerRange range);
SettingField number_field(std::string key, std::string help, double Settings::*member,
                          NumberRange range);
/// `word` stands for the empty optional.
SettingField optional_field(std::string key, std::string help,
                            std::optional<double> Settings::*member, std::string word,
                            NumberRange range);
/// Any text.
SettingField text_field(std::string key, std::string help, std::string Settings::*member);
/// One of a few words; the error names the nearest.
SettingField choice_field(std::string key, std::string help, std::string Settings::*member,
                          std::vector<std::string> choices);

}  // namespace evenkeel::train
