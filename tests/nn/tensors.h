// Tensors for tests: making and comparing them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::testing {

inline Tensor random_tensor(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32,
                            Layout layout = Layout::channels_first) {
  Tensor result = Tensor::empty(shape, DType::f64, layout);
  Random random(seed, 7);
  random.fill_normal(result.span<double>(), 0, 1);
  return result.to(dtype);
}

/// Values in random order, none within 0.1 of zero and each two well apart, so that a small step
/// crosses no kink of an activation and swaps no maximum.
inline Tensor separated_tensor(const Shape& shape, std::uint64_t seed, Layout layout) {
  Tensor result = Tensor::empty(shape, DType::f64, layout);
  const std::int64_t count = result.numel();
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, 11);
  random.shuffle(order);
  for (std::int64_t i = 0; i < count; ++i) {
    const double place = (static_cast<double>(order[static_cast<std::size_t>(i)]) + 0.5) /
                             static_cast<double>(count) * 4 -
                         2;
    result.data<double>()[i] = place + (place < 0 ? -0.1 : 0.1);
  }
  return result;
}

/// The largest difference of two tensors of one shape; infinite where the shapes differ or a
/// difference is NaN.
inline double max_difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  const Tensor left = a.to(DType::f64).to(Layout::channels_first);
  const Tensor right = b.to(DType::f64).to(Layout::channels_first);
  double worst = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double difference = std::abs(left.data<double>()[i] - right.data<double>()[i]);
    if (!(difference <= worst)) {
      worst = std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
    }
  }
  return worst;
}

/// Same shape, dtype, layout and bits.
inline bool identical(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && a.layout() == b.layout() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace evenkeel::testing
