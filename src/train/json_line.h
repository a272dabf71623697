// One JSON object on one line, and the objects inside it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace evenkeel::train {

class JsonLine {
 public:
  explicit JsonLine(std::string_view kind) { add("kind", kind); }
  /// An object to put inside another one.
  JsonLine() = default;

  JsonLine& add(std::string_view key, std::string_view value) {
    begin(key);
    quote(value);
    return *this;
  }
  JsonLine& add(std::string_view key, double value) { return raw(key, fmt::format("{}", value)); }
  JsonLine& add(std::string_view key, std::int64_t value) {
    return raw(key, fmt::format("{}", value));
  }
  JsonLine& add(std::string_view key, std::span<const double> values) {
    return raw(key, fmt::format("[{}]", fmt::join(values, ", ")));
  }
  JsonLine& add(std::string_view key, const JsonLine& object) { return raw(key, object.str()); }
  std::string str() const { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  void begin(std::string_view key) {
    text_ += text_.empty() ? "{" : ", ";
    quote(key);
    text_ += ": ";
  }
  void quote(std::string_view text) {
    text_ += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        text_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }
  JsonLine& raw(std::string_view key, const std::string& value) {
    begin(key);
    text_ += value;
    return *this;
  }

  std::string text_;
};

}  // namespace evenkeel::train
