// One JSON object on one line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace evenkeel::train {

class JsonLine {
 public:
  explicit JsonLine(std::string_view kind) { add("kind", kind); }

  JsonLine& add(std::string_view key, std::string_view value) {
    begin(key);
    text_ += '"';
    for (const char c : value) {
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
    return *this;
  }
  JsonLine& add(std::string_view key, double value) { return raw(key, fmt::format("{}", value)); }
  JsonLine& add(std::string_view key, std::int64_t value) {
    return raw(key, fmt::format("{}", value));
  }
  std::string str() const { return text_ + "}"; }

 private:
  void begin(std::string_view key) {
    text_ += text_.empty() ? "{\"" : ", \"";
    text_ += key;
    text_ += "\": ";
  }
  JsonLine& raw(std::string_view key, const std::string& value) {
    begin(key);
    text_ += value;
    return *this;
  }

  std::string text_;
};

}  // namespace evenkeel::train
