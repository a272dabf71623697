#pragma GCC optimize("no-trapping-math")  // as in activation.cpp

#include <array>
#include <cmath>
#include <numbers>

#include "ops/check.h"
#include "ops/vector_math.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/gelu.h>

namespace evenkeel::ops {
namespace {

constexpr std::int64_t kBlock = 4 * 1024;

/// The normal distribution at x.
template <class T>
struct Normal {
  T cdf;      ///< Φ(x)
  T density;  ///< Φ'(x)
};

template <class T>
constexpr T kDensityScale = std::numbers::inv_sqrtpi_v<T>*(std::numbers::sqrt2_v<T> / T{2});

Normal<double> normal(double x) {
  // Through erfc, which keeps its digits far below zero.
  return {0.5 * std::erfc(-x * (std::numbers::sqrt2 / 2)),
          kDensityScale<double> * std::exp(-x * x / 2)};
}

// erfc(z)·e^(z²)·(z + 2.5) for z ≥ 0 as a polynomial in (z − 2.5)/(z + 2.5): interpolated at
// Chebyshev's nodes, relative error below 1e-8.
constexpr float kShift = 2.5f;
constexpr std::array<float, 11> kTail{1.05403182e+00f,  -8.04651929e-01f, 4.53914526e-01f,
                                      -1.71249487e-01f, 2.83566762e-02f,  8.38313187e-03f,
                                      -4.79736117e-03f, -4.13924985e-04f, 6.59290810e-04f,
                                      2.70071299e-05f,  -7.01601293e-05f};

/// Written so that loops over it vectorize.
inline Normal<float> normal(float x) {
  const float size = std::fabs(x);
  const float a = size > 20.0f ? 20.0f : size;  // where Φ(−a) is zero
  const float e = detail::exp_of_negative(-0.5f * a * a);
  const float z = a * (std::numbers::sqrt2_v<float> / 2.0f);
  const float t = (z - kShift) / (z + kShift);
  float p = kTail.back();
  for (std::size_t i = kTail.size() - 1; i-- > 0;) p = p * t + kTail[i];
  const float tail = 0.5f * e * p / (z + kShift);
  return {x < 0.0f ? tail : 1.0f - tail, kDensityScale<float> * e};
}

}  // namespace

void gelu_forward(const Tensor& x, Tensor& y) {
  const char* const op = "gelu_forward";
  detail::check_stored(op, "x", x);
  detail::check_matches(op, "y", y, x);
  detail::check_in_place_or_apart(op, {"y", y}, {{"x", x}});
  detail::visit_stored(x, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_ranges(x.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep  // in place or apart
      for (std::int64_t i = begin; i < end; ++i) {
        const auto v = widened(from[i]);
        to[i] = stored<T>(v * normal(v).cdf);
      }
    });
  });
}

void gelu_backward(const Tensor& x, const Tensor& dy, Tensor& dx) {
  const char* const op = "gelu_backward";
  detail::check_stored(op, "x", x);
  detail::check_matches(op, "dy", dy, x);
  detail::check_matches(op, "dx", dx, x);
  detail::check_in_place_or_apart(op, {"dx", dx}, {{"x", x}, {"dy", dy}});
  detail::visit_stored(x, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    const T* const upstream = dy.data<T>();
    T* const to = dx.data<T>();
    parallel_ranges(x.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep  // in place or apart
      for (std::int64_t i = begin; i < end; ++i) {
        const auto v = widened(from[i]);
        const auto at = normal(v);
        to[i] = stored<T>(widened(upstream[i]) * (at.cdf + v * at.density));
      }
    });
  });
}

}  // namespace evenkeel::ops
