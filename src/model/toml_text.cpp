#include "model/toml_text.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>

#include <fmt/ranges.h>

#include <evenkeel/core/error.h>

namespace evenkeel::model {
namespace {

/// Length of the well-formed UTF-8 sequence at the beginning, or 0.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned a = byte(0);
  const unsigned b = byte(1);
  if (a < 0x80u) return 1;
  if (a >= 0xC2u && a < 0xE0u) return continues(1) ? 2 : 0;
  if (a >= 0xE0u && a < 0xF0u) {
    if ((a == 0xE0u && b < 0xA0u) || (a == 0xEDu && b >= 0xA0u)) return 0;  // overlong, surrogate
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (a >= 0xF0u && a < 0xF5u) {
    if ((a == 0xF0u && b < 0x90u) || (a == 0xF4u && b >= 0x90u)) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string toml_string(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) fail<UsageError>("[config] TOML holds UTF-8 text only; rename what is not");
    const char c = text.front();
    if (length == 1 && (c == '"' || c == '\\')) {
      result += '\\';
      result += c;
    } else if (length == 1 && (static_cast<unsigned char>(c) < 0x20u || c == '\x7f')) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return result + "\"";
}

std::string toml_key(std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](unsigned char c) {
    return c < 0x80u && (std::isalnum(c) != 0 || c == '_' || c == '-');
  });
  return bare ? std::string(key) : toml_string(key);
}

std::string toml_number(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";  // 'n' as in "inf"
  return text;
}

std::string toml_value(const OptionValue& value) {
  struct Writer {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return toml_number(v); }
    std::string operator()(const std::string& v) const { return toml_string(v); }
    std::string operator()(const std::vector<std::int64_t>& v) const {
      return fmt::format("[{}]", fmt::join(v, ", "));
    }
  };
  return std::visit(Writer{}, value);
}

}  // namespace evenkeel::model
