// What the tests of this room share: random tensors, poison, comparisons, numerical gradients.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>
#include <evenkeel/core/deterministic.h>

namespace evenkeel::ops::testing {

/// Standard normal values.
inline Tensor random_tensor(const Shape& shape, DType dtype, Layout layout, std::uint64_t seed) {
  Tensor values = Tensor::empty(shape, DType::f64, layout);
  Random random(seed);
  random.fill_normal(values.span<double>(), 0.0, 1.0);
  return values.to(dtype);
}
inline Tensor random_tensor(const Shape& shape, DType dtype = DType::f64, std::uint64_t seed = 1) {
  return random_tensor(shape, dtype, Layout::channels_first, seed);
}

/// Filled with NaN: what is not overwritten shows.
inline Tensor poisoned(const Shape& shape, DType dtype = DType::f64,
                       Layout layout = Layout::channels_first) {
  return Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), dtype, layout);
}

/// The elements in the order of channels_first, as doubles.
inline std::vector<double> values_of(const Tensor& tensor) {
  const Tensor plain = tensor.to(DType::f64).to(Layout::channels_first);
  const auto values = plain.span<double>();
  return {values.begin(), values.end()};
}

/// Largest |a − b| over max(1, largest |b|); NaN anywhere in a counts as infinite.
inline double distance(const Tensor& a, const Tensor& b) {
  const auto va = values_of(a);
  const auto vb = values_of(b);
  if (va.size() != vb.size()) return std::numeric_limits<double>::infinity();
  double scale = 1.0;
  double worst = 0.0;
  for (std::size_t i = 0; i < va.size(); ++i) {
    if (!std::isfinite(va[i])) return std::numeric_limits<double>::infinity();
    scale = std::max(scale, std::abs(vb[i]));
    worst = std::max(worst, std::abs(va[i] - vb[i]));
  }
  return worst / scale;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && a.layout() == b.layout() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

/// Σ weights·values, a scalar function of a tensor whose gradient is `weights`.
inline double dot(const Tensor& a, const Tensor& b) {
  const auto va = values_of(a);
  const auto vb = values_of(b);
  double sum = 0.0;
  for (std::size_t i = 0; i < va.size(); ++i) sum += va[i] * vb[i];
  return sum;
}

/// d f / d x by central differences, in x's layout; f reads x.
template <class F>
Tensor numerical_gradient(Tensor& x, F&& f, double step = 1e-5) {
  Tensor gradient = Tensor::like(x);
  auto values = x.span<double>();
  auto out = gradient.span<double>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double before = values[i];
    values[i] = before + step;
    const double up = f();
    values[i] = before - step;
    const double down = f();
    values[i] = before;
    out[i] = (up - down) / (2.0 * step);
  }
  return gradient;
}

/// The message of the E that f throws; fails where it throws nothing.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing of the expected type was thrown";
  return {};
}

/// Sets threads and deterministic mode for a test and puts them back.
class Setting {
 public:
  explicit Setting(int threads, bool deterministic_mode = deterministic())
      : threads_(max_threads()), deterministic_(deterministic()) {
    set_max_threads(threads);
    set_deterministic(deterministic_mode);
  }
  ~Setting() {
    set_max_threads(threads_);
    set_deterministic(deterministic_);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  int threads_;
  bool deterministic_;
};

inline Layout any_layout() {
  return *rc::gen::element(Layout::channels_first, Layout::channels_last);
}

}  // namespace evenkeel::ops::testing
