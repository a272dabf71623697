#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/layers/clip.h>

namespace evenkeel::nn {
namespace {

constexpr std::int64_t kBlock = 1 << 14;  // elements per piece of parallel work

/// The bounds as y holds them, so that backward finds what forward clipped.
template <class T>
struct Bounds {
  Arithmetic<T> low, high;

  explicit Bounds(const ClipOptions& options)
      : low(widened(stored<T>(options.min))), high(widened(stored<T>(options.max))) {}
};

}  // namespace

Clip::Clip(ClipOptions options) : options_(options) {
  if (!(options_.min < options_.max)) {
    fail<UsageError>("[Clip] expected min below max, got {} and {}", options_.min, options_.max);
  }
}

Tensor Clip::forward(const Tensor& x) {
  expect_float(*this, x);
  Tensor y = Tensor::like(x);
  with_dtype(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const from = x.data<T>();
    T* const to = y.data<T>();
    const Bounds<T> bounds(options_);
    parallel_ranges(x.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto value = widened(from[i]);
        const auto above = value < bounds.low ? bounds.low : value;
        to[i] = stored<T>(above > bounds.high ? bounds.high : above);
      }
    });
  });
  if (recording()) saved_.push(y);
  return y;
}

Tensor Clip::backward(const Tensor& dy) {
  const Tensor y = saved_.top(*this);
  const Tensor gradient = expect_gradient(*this, dy, y.shape(), y.dtype(), y.layout());
  Tensor dx = Tensor::like(y);
  with_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* const value = y.data<T>();
    const T* const from = gradient.data<T>();
    T* const to = dx.data<T>();
    const Bounds<T> bounds(options_);
    parallel_ranges(y.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto at = widened(value[i]);
        to[i] = at <= bounds.low || at >= bounds.high ? stored<T>(0.0) : from[i];
      }
    });
  });
  saved_.pop();
  return dx;
}

LayerRow clip_row() {
  return {"Clip",
          "values within bounds: min, max (0 and 6 are ReLU6)",
          [](const Options& options) -> std::unique_ptr<Module> {
            ClipOptions rest;
            rest.min = options.get("min", rest.min);
            rest.max = options.get("max", rest.max);
            return std::make_unique<Clip>(rest);
          },
          {{{{"min", 0.0}, {"max", 6.0}}, {3, 4}}, {{{"min", -0.3}, {"max", 0.7}}, {2, 3, 2, 3}}}};
}

}  // namespace evenkeel::nn
