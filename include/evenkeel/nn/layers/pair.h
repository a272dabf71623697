// A size for each of two spatial dimensions.
#pragma once

#include <cstdint>

namespace evenkeel::nn {

/// One number for both dimensions, or {height, width}.
struct Pair {
  std::int64_t height = 0;
  std::int64_t width = 0;

  constexpr Pair(std::int64_t both) : height(both), width(both) {}  // NOLINT: implicit on purpose
  constexpr Pair(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  bool operator==(const Pair&) const = default;
};

}  // namespace evenkeel::nn
