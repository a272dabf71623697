// Loops with comparisons vectorize only where speculated arithmetic may raise floating-point flags,
// which nobody reads here; values are the same.
#pragma GCC optimize("no-trapping-math")

#include "ops/check.h"
#include "ops/vector_math.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/ops/activation.h>

namespace evenkeel::ops {
namespace {

constexpr std::int64_t kBlock = 16 * 1024;

template <class T, class F>
void map(const Tensor& x, Tensor& y, F&& f) {
  const T* from = x.data<T>();
  T* to = y.data<T>();
  parallel_ranges(x.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep  // in place or apart
    for (std::int64_t i = begin; i < end; ++i) to[i] = stored<T>(f(widened(from[i])));
  });
}

template <class T, class F>
void map2(const Tensor& a, const Tensor& b, Tensor& out, F&& f) {
  const T* from_a = a.data<T>();
  const T* from_b = b.data<T>();
  T* to = out.data<T>();
  parallel_ranges(a.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
#pragma GCC ivdep  // in place or apart
    for (std::int64_t i = begin; i < end; ++i) {
      to[i] = stored<T>(f(widened(from_a[i]), widened(from_b[i])));
    }
  });
}

void check_slope(const char* op, ActivationKind kind, double slope) {
  if (kind == ActivationKind::leaky_relu && !(slope > 0.0)) {
    fail<UsageError>("[{}] expected a positive slope, got {}; use relu for 0", op, slope);
  }
}

}  // namespace

void activation_forward(ActivationKind kind, const Tensor& x, Tensor& y, double slope) {
  const char* const op = "activation_forward";
  detail::check_stored(op, "x", x);
  detail::check_matches(op, "y", y, x);
  detail::check_in_place_or_apart(op, {"y", y}, {{"x", x}});
  check_slope(op, kind, slope);
  detail::visit_stored(x, [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const A factor = static_cast<A>(slope);
    switch (kind) {  // comparisons are turned so that NaN passes through
      case ActivationKind::relu:
        return map<T>(x, y, [](A v) { return v <= A{0} ? A{0} : v; });
      case ActivationKind::leaky_relu:
        return map<T>(x, y, [factor](A v) { return v * (v < A{0} ? factor : A{1}); });
      case ActivationKind::sigmoid:
        return map<T>(x, y, [](A v) { return detail::sigmoid(v); });
      case ActivationKind::tanh:
        return map<T>(x, y, [](A v) { return detail::tanh(v); });
    }
  });
}

void activation_backward(ActivationKind kind, const Tensor& y, const Tensor& dy, Tensor& dx,
                         double slope) {
  const char* const op = "activation_backward";
  detail::check_stored(op, "y", y);
  detail::check_matches(op, "dy", dy, y);
  detail::check_matches(op, "dx", dx, y);
  detail::check_in_place_or_apart(op, {"dx", dx}, {{"y", y}, {"dy", dy}});
  check_slope(op, kind, slope);
  detail::visit_stored(y, [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const A factor = static_cast<A>(slope);
    switch (kind) {
      case ActivationKind::relu:
        return map2<T>(y, dy, dx, [](A v, A d) { return v <= A{0} ? A{0} : d; });
      case ActivationKind::leaky_relu:
        return map2<T>(y, dy, dx, [factor](A v, A d) { return d * (v <= A{0} ? factor : A{1}); });
      case ActivationKind::sigmoid:
        return map2<T>(y, dy, dx, [](A v, A d) { return d * (v * (A{1} - v)); });
      case ActivationKind::tanh:
        return map2<T>(y, dy, dx, [](A v, A d) { return d * (A{1} - v * v); });
    }
  });
}

}  // namespace evenkeel::ops
