#include "text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

namespace evenkeel::app {
namespace {

bool output_failed = false;

}  // namespace

std::string grouped(std::int64_t value) {
  std::string digits = fmt::format("{}", value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string percent(double part) { return fmt::format("{:.2f} %", 100 * part); }

std::string brief(double value, double size, int extra) {
  if (value == 0) return "0";
  if (!std::isfinite(size) || size < 1e-3 || size >= 1e5) {
    return fmt::format("{:.{}e}", value, 1 + extra);
  }
  const int digits = 1 + static_cast<int>(std::floor(std::log10(size)));  // before the point
  const int decimals = std::max(0, 3 - digits);
  return fmt::format("{:.{}f}", value, decimals + extra);
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines(1);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    std::string& line = lines.back();
    if (!line.empty() && width_of(line) + 1 + width_of(word) > width) {
      lines.push_back(word);
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
  }
  return lines;
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::str(std::size_t indent) const {
  std::vector<std::size_t> widths;
  std::vector<std::string> titles;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    titles.push_back(columns_[c].title);
    std::size_t width = width_of(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[c]));
    widths.push_back(width);
  }
  std::string text;
  const auto write = [&](const std::vector<std::string>& cells) {
    std::string line(indent, ' ');
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (widths[c] == 0) continue;  // a column with nothing to say
      const std::string padding(widths[c] - width_of(cells[c]), ' ');
      line += columns_[c].align == Align::right ? padding + cells[c] : cells[c] + padding;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  if (std::ranges::any_of(titles, [](const auto& title) { return !title.empty(); })) write(titles);
  for (const auto& row : rows_) write(row);
  return text;
}

std::string definitions(const std::vector<std::pair<std::string, std::string>>& entries) {
  constexpr std::size_t kWidth = 80;
  std::size_t column = 0;
  for (const auto& [term, meaning] : entries) column = std::max(column, width_of(term) + 4);
  std::string text;
  for (const auto& [term, meaning] : entries) {
    std::string line = "  " + term;
    for (const std::string& part : wrapped(meaning, kWidth - column)) {
      text += line + std::string(column - width_of(line), ' ') + part + "\n";
      line.clear();
    }
  }
  return text;
}

Json to_json(const Shape& shape) {
  Json list = Json::array();
  for (const std::int64_t extent : shape.dims()) list.push_back(extent);
  return list;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && errno != EPIPE) {
    output_failed = true;
  }
}

void print_json(const Json& json) {
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

bool flush_output() {
  if (std::fflush(stdout) != 0 && errno != EPIPE) output_failed = true;
  return !output_failed;
}

}  // namespace evenkeel::app
