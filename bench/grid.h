// A table of text: for a terminal or in Markdown.
#pragma once

#include <string>
#include <vector>

namespace evenkeel::bench {

/// The first row holds the titles; the first column is aligned left, the others right.
struct Grid {
  std::vector<std::vector<std::string>> rows;

  std::string text() const;
  std::string markdown() const;
};

}  // namespace evenkeel::bench
