// Values as TOML text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/core/options.h>

namespace evenkeel::model {

/// A basic string with its quotes. Throws UsageError for bytes that are not UTF-8, which TOML
/// cannot hold.
std::string toml_string(std::string_view text);
/// Bare where TOML allows it.
std::string toml_key(std::string_view key);
/// The shortest text that reads back to the same double, always recognizable as one.
std::string toml_number(double value);
std::string toml_value(const OptionValue& value);

}  // namespace evenkeel::model
