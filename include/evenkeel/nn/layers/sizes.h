// A size for each spatial dimension of a layer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace evenkeel::nn {

/// One number for all dimensions, or one for each: {length}, {height, width} or {depth, height,
/// width}.
template <int Rank>
struct Sizes {
  std::array<std::int64_t, static_cast<std::size_t>(Rank)> values{};

  constexpr Sizes(std::int64_t all) { values.fill(all); }  // NOLINT: implicit on purpose
  constexpr Sizes(std::int64_t height, std::int64_t width) requires(Rank == 2)
      : values{height, width} {}
  constexpr Sizes(std::int64_t depth, std::int64_t height, std::int64_t width) requires(Rank == 3)
      : values{depth, height, width} {}
  bool operator==(const Sizes&) const = default;
};

using Pair = Sizes<2>;
using Triple = Sizes<3>;

}  // namespace evenkeel::nn
