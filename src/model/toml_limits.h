// What is refused of a TOML text before the parser sees it.
#pragma once

#include <cstddef>
#include <string_view>

namespace evenkeel::model {

/// The line of the first key of more than kMaxKeyParts parts, as a.b.c has three; 0 if there is
/// none. The parser makes a table inside a table of every part and frees them by recursion, so that
/// a file of some hundred kilobytes of dots would overflow the stack. Values inside values it
/// counts itself.
std::size_t line_of_deep_key(std::string_view toml);
inline constexpr std::size_t kMaxKeyParts = 8;

}  // namespace evenkeel::model
