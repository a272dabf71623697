#include "model/toml_limits.h"

#include <algorithm>

namespace evenkeel::model {
namespace {

/// Steps over the strings and comments of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  /// Takes one character, or a whole string or comment for which it gives '"' or '#'.
  char take() {
    const char c = rest_.front();
    if (c == '#') {
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    } else if (c == '"' || c == '\'') {
      take_string(c);
      return '"';
    } else {
      line_ += c == '\n' ? 1 : 0;
      rest_.remove_prefix(1);
    }
    return c;
  }
  bool at_end() const { return rest_.empty(); }
  std::size_t line() const { return line_; }

 private:
  void take_string(char mark) {
    const bool lines = rest_.size() >= 3 && rest_[1] == mark && rest_[2] == mark;
    const std::size_t marks = lines ? 3 : 1;
    rest_.remove_prefix(marks);
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '\n') {
        if (!lines) return;  // not closed: the parser says so
        ++line_;
      }
      if (c == mark && closes(mark, marks)) return;
      rest_.remove_prefix(c == '\\' && mark == '"' && rest_.size() > 1 && rest_[1] != '\n' ? 2 : 1);
    }
  }

  bool closes(char mark, std::size_t marks) {
    for (std::size_t i = 0; i < marks; ++i) {
      if (i >= rest_.size() || rest_[i] != mark) return false;
    }
    rest_.remove_prefix(marks);
    // A text of several lines may end in one or two marks of its own.
    for (int i = 0; marks == 3 && i < 2 && !rest_.empty() && rest_.front() == mark; ++i) {
      rest_.remove_prefix(1);
    }
    return true;
  }

  std::string_view rest_;
  std::size_t line_ = 1;
};

}  // namespace

std::size_t line_of_deep_key(std::string_view toml) {
  constexpr std::string_view kBetweenKeys = "\n,=[]{}";
  std::size_t parts = 1;
  for (Scanner scanner(toml); !scanner.at_end();) {
    const char c = scanner.take();
    if (kBetweenKeys.find(c) != std::string_view::npos) parts = 1;
    if (c == '.' && ++parts > kMaxKeyParts) return scanner.line();
  }
  return 0;
}

}  // namespace evenkeel::model
