// Elementwise loops over the memory of parameters.
#pragma once

#include <cstdint>

#include <evenkeel/core/parallel.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::optim {

/// Elements of one range: large enough to hide the cost of handing it out, small enough to balance.
inline constexpr std::int64_t kRange = 16 * 1024;

/// Calls f with a value of the dtype's type: the loops below exist once for float and once for
/// double.
template <class F>
void for_dtype(DType dtype, F&& f) {
  if (dtype == DType::f64) {
    f(double{});
  } else {
    f(float{});
  }
}

}  // namespace evenkeel::optim
