// Text for people and programs: numbers, tables, JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <evenkeel/core/shape.h>

namespace evenkeel::app {

using Json = nlohmann::ordered_json;

/// "1,234,567"
std::string grouped(std::int64_t value);
/// "98.46 %" for 0.9846
std::string percent(double part);
/// A value among others of up to `size`, with three significant digits for the largest of them, and
/// `extra` more: "0.123", "12.3", "1.2e-05".
std::string brief(double value, double size, int extra = 0);
/// "2.1 GiB"
std::string bytes_text(std::uint64_t bytes);
/// Columns that a terminal shows for UTF-8 text.
std::size_t width_of(std::string_view text);
/// Lines of at most `width` columns where the words allow it.
std::vector<std::string> wrapped(const std::string& text, std::size_t width);

/// Columns that line up.
class Table {
 public:
  enum class Align : std::uint8_t { left, right };

  struct Column {
    std::string title;
    Align align = Align::left;
  };
  /// Without titles where all are empty.
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// Lines end without blanks; `indent` blanks stand before each.
  std::string str(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Indented terms with their meanings beside them, wrapped to the width of a terminal.
std::string definitions(const std::vector<std::pair<std::string, std::string>>& entries);

Json to_json(const Shape& shape);

/// Writes to standard output. A reader that went away is no error.
void print(std::string_view text);
/// One object, indented, as the only thing on standard output.
void print_json(const Json& json);
/// Flushes standard output; false where it could not be written, for another reason than a reader
/// that went away.
bool flush_output();

}  // namespace evenkeel::app
