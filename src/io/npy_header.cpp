#include "io/npy_header.h"

#include <charconv>

#include <fmt/ranges.h>

#include "io/bytes.h"

namespace evenkeel::io {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const Origin& origin) : text_(text), origin_(origin) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      field(key);
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) origin_.refuse("expected the end of the header, got {}", quote(text_));
    if (!(seen_descr_ && seen_order_ && seen_shape_)) {
      origin_.refuse(
          "expected descr, fortran_order and shape in the header, got only some of them");
    }
    return std::move(header_);
  }

 private:
  void field(const std::string& key) {
    bool* seen = nullptr;
    if (key == "descr") {
      seen = &seen_descr_;
      skip_space();
      if (!text_.empty() && text_.front() == '[') {
        origin_.refuse(
            "expected a plain dtype such as '<f4', got a structured one; save its fields "
            "as arrays of their own");
      }
      header_.descr = string();
    } else if (key == "fortran_order") {
      seen = &seen_order_;
      header_.fortran_order = boolean();
    } else if (key == "shape") {
      seen = &seen_shape_;
      shape();
    } else {
      origin_.refuse("expected descr, fortran_order and shape in the header, got {}", quote(key));
    }
    if (*seen) origin_.refuse("{} comes twice in the header", key);
    *seen = true;
  }

  void skip_space() {
    const auto rest = text_.find_first_not_of(" \t\n\r");
    text_.remove_prefix(rest == std::string_view::npos ? text_.size() : rest);
  }

  bool accept(char wanted) {
    skip_space();
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) {
      origin_.refuse("expected '{}' in the header, got {}", wanted, quote(text_.substr(0, 20)));
    }
  }

  std::string string() {
    skip_space();
    const char mark = text_.empty() ? '\0' : text_.front();
    const auto end = mark == '\'' || mark == '"' ? text_.find(mark, 1) : std::string_view::npos;
    if (end == std::string_view::npos) {
      origin_.refuse("expected a quoted word in the header, got {}", quote(text_.substr(0, 20)));
    }
    const std::string result(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return result;
  }

  bool boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (text_.starts_with(word)) {
        text_.remove_prefix(std::string_view(word).size());
        return value;
      }
    }
    origin_.refuse("expected True or False as fortran_order, got {}", quote(text_.substr(0, 20)));
  }

  void shape() {
    expect('(');
    while (!accept(')')) {
      header_.shape.push_back(extent());
      // More than any array has; Shape's own limit is reported with the number found.
      if (header_.shape.size() > 64) origin_.refuse("expected at most 64 dimensions, got more");
      if (!accept(',')) {
        // (3) is a number in Python, not a tuple, and NumPy refuses it as well.
        if (header_.shape.size() == 1) {
          origin_.refuse("expected a tuple such as (3,) as shape, got a number in parentheses");
        }
        expect(')');
        break;
      }
    }
  }

  std::uint64_t extent() {
    skip_space();
    std::uint64_t value = 0;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data(), end, value);
    if (error != std::errc{}) {
      origin_.refuse("expected extents of 0 or more in the shape, got {}",
                     quote(text_.substr(0, 24)));
    }
    text_.remove_prefix(static_cast<std::size_t>(stop - text_.data()));
    if (!text_.empty() && text_.front() == 'L') text_.remove_prefix(1);  // written by Python 2
    return value;
  }

  std::string_view text_;
  const Origin& origin_;
  NpyHeader header_;
  bool seen_descr_ = false;
  bool seen_order_ = false;
  bool seen_shape_ = false;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const Origin& origin) {
  return Parser(text, origin).parse();
}

std::string make_npy_header(std::string_view descr, const Shape& shape) {
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                  fmt::join(shape.dims(), ", "), shape.rank() == 1 ? "," : "");
  constexpr std::size_t kPrefix = 10;  // magic, version, length
  constexpr std::size_t kMultiple = 64;
  const std::size_t used = kPrefix + text.size() + 1;
  text.append((kMultiple - used % kMultiple) % kMultiple, ' ');
  text += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  append_le(out, static_cast<std::uint16_t>(text.size()));
  return out + text;
}

}  // namespace evenkeel::io
