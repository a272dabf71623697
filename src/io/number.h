// Numbers in texts, read the same in every locale.
#pragma once

#include <optional>
#include <string_view>

namespace evenkeel::io {

struct TextNumber {
  enum class Kind { number, not_finite, too_large, text };
  Kind kind = Kind::text;
  float value = 0;
};
/// The whole of `text` as a decimal number such as "+1", ".5" or "1e-3", correctly rounded; what
/// lies below the smallest float is zero. "nan" and "inf" in any case are `not_finite`.
TextNumber parse_number(std::string_view text);

/// The same as a finite double.
std::optional<double> parse_double(std::string_view text);

}  // namespace evenkeel::io
