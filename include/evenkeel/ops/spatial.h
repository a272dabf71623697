// Numbers of a window, one for each spatial dimension.
#pragma once

#include <array>
#include <cstdint>

namespace evenkeel::ops {

inline constexpr int kMostSpatial = 3;

/// In the order of the input's spatial dimensions: [L], [height, width] or [depth, height, width].
/// Numbers beyond the input's dimensions are not read.
using Spatial = std::array<std::int64_t, kMostSpatial>;

}  // namespace evenkeel::ops
