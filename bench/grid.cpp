#include "grid.h"

#include <algorithm>

namespace evenkeel::bench {
namespace {

std::string padded(const std::string& cell, std::size_t width, bool left) {
  const std::string blanks(width - std::min(width, cell.size()), ' ');
  return left ? cell + blanks : blanks + cell;
}

}  // namespace

std::string Grid::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string result;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += (i == 0 ? "" : "  ") + padded(row[i], widths[i], i == 0);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
  }
  return result;
}

std::string Grid::markdown() const {
  std::string result;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line = "|", rule = "|";
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      line += " " + rows[r][i] + " |";
      rule += i == 0 ? "---|" : "---:|";
    }
    result += line + "\n";
    if (r == 0) result += rule + "\n";
  }
  return result;
}

}  // namespace evenkeel::bench
