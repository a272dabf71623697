// A rectangle of values in memory: the block over which the kernels take their sums.
#pragma once

#include <cstdint>

namespace evenkeel::norm {

/// `rows` runs of `length` neighbouring values; the runs begin `pitch` values apart.
struct Patch {
  std::int64_t rows, pitch, length;
  std::int64_t count() const { return rows * length; }
};

/// Calls f(offset) for every value, run by run.
template <class F>
void for_each_offset(const Patch& patch, F&& f) {
  for (std::int64_t row = 0; row < patch.rows; ++row) {
    for (std::int64_t i = 0; i < patch.length; ++i) f(row * patch.pitch + i);
  }
}

}  // namespace evenkeel::norm
