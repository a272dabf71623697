#include <cmath>
#include <numbers>

#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/pointwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::int64_t kBlock = 1 << 10;  // elements per piece of parallel work

}  // namespace

Tensor Pointwise::forward(const Tensor& x) {
  expect_float(*this, x);
  Tensor y = Tensor::like(x);
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    parallel_ranges(x.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        to[i] = stored<T>(value(in_double(from[i])));
      }
    });
  });
  if (recording()) saved_.push(x);
  return y;
}

Tensor Pointwise::backward(const Tensor& dy) {
  const Tensor x = saved_.top(*this);
  const Tensor gradient = expect_gradient(*this, dy, x.shape(), x.dtype(), x.layout());
  Tensor dx = Tensor::like(x);
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const at = x.data<T>();
    const T* const from = gradient.data<T>();
    T* const to = dx.data<T>();
    parallel_ranges(x.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        to[i] = stored<T>(in_double(from[i]) * derivative(in_double(at[i])));
      }
    });
  });
  saved_.pop();
  return dx;
}

double Power::value(double x) const {
  return exponent_ == 0.5 ? std::sqrt(x) : std::pow(x, exponent_);
}

double Power::derivative(double x) const { return exponent_ * std::pow(x, exponent_ - 1); }

double Erf::value(double x) const { return std::erf(x); }

double Erf::derivative(double x) const { return 2 * std::numbers::inv_sqrtpi * std::exp(-x * x); }

LayerRow power_row() {
  return {"Power",
          "x to the power of a number: exponent (2)",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<Power>(options.get("exponent", 2.0));
          },
          {{{}, {3, 4}}, {{{"exponent", 3.0}}, {2, 3, 2, 2}}}};
}

LayerRow erf_row() {
  return {"Erf",
          "the error function",
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<Erf>(); },
          {{{}, {3, 4}}, {{}, {2, 3, 2, 2}}}};
}

}  // namespace evenkeel::nn
