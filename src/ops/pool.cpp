// Loops with comparisons vectorize only where speculated arithmetic may raise floating-point flags,
// which nobody reads here; values are the same.
#pragma GCC optimize("no-trapping-math")

#include <limits>

#include "ops/check.h"
#include "ops/pool_loops.h"
#include <evenkeel/ops/pool.h>

namespace evenkeel::ops {
namespace {

PoolGeometry geometry_of(std::string_view op, const Shape& x, const PoolOptions& options) {
  if (x.rank() < 3 || x.rank() > 2 + kMostSpatial) {
    fail<ShapeError>("[{}] expected an input [N, C, L], [N, C, H, W] or [N, C, D, H, W], got {}",
                     op, x.str());
  }
  const int spatial = x.rank() - 2;
  PoolGeometry g;
  g.samples = x[0];
  g.channels = x[1];
  g.count_include_pad = options.count_include_pad;
  for (int d = 0; d < spatial; ++d) {
    const auto from = static_cast<std::size_t>(d);
    const auto to = static_cast<std::size_t>(kMostSpatial - spatial + d);  // the last is the width
    g.in[to] = x[2 + d];
    g.kernel[to] = options.kernel[from];
    g.stride[to] = options.stride[from];
    g.padding[to] = options.padding[from];
    if (g.kernel[to] < 1 || g.stride[to] < 1 || g.padding[to] < 0 ||
        2 * g.padding[to] > g.kernel[to]) {
      fail<ShapeError>(
          "[{}] expected kernel and stride of at least 1 and padding of at most half the kernel, "
          "got "
          "kernel {}, stride {}, padding {}",
          op, g.kernel[to], g.stride[to], g.padding[to]);
    }
    const std::int64_t room = g.in[to] + 2 * g.padding[to] - g.kernel[to];
    if (g.in[to] < 1 || room < 0) {
      fail<ShapeError>(
          "[{}] the kernel {} does not fit input {} with padding {}; use a smaller one", op,
          g.kernel[to], x.str(), g.padding[to]);
    }
    g.out[to] = room / g.stride[to] + 1;
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (g.in_positions() > kMost) {
    fail<ShapeError>("[{}] expected fewer than 2^31 positions in a map, got {}", op, x.str());
  }
  std::int64_t room_for_taps = kMost;  // divided, since the product may not fit any number
  for (const std::int64_t extent : g.kernel) room_for_taps /= extent;
  if (room_for_taps == 0) {
    fail<ShapeError>("[{}] expected a kernel of fewer than 2^31 positions for input {}", op,
                     x.str());
  }
  return g;
}

Shape output_shape(const Shape& x, const PoolGeometry& g) {
  Shape result = x;
  for (int d = 2; d < x.rank(); ++d) {
    result = result.with(d, g.out[static_cast<std::size_t>(kMostSpatial - x.rank() + d)]);
  }
  return result;
}

std::int64_t positions_of(std::string_view op, const Shape& x) {
  if (x.rank() < 3) {
    fail<ShapeError>("[{}] expected an input [N, C, spatial...], got {}", op, x.str());
  }
  const std::int64_t positions = x.drop(2).numel();
  if (positions == 0 && x[0] != 0) {
    fail<ShapeError>("[{}] expected at least one position to average, got {}", op, x.str());
  }
  return positions;
}

/// What sums are taken over: bf16 as f32, so that a window's sum is rounded once.
Tensor summable(const Tensor& tensor) { return tensor.to(parameter_dtype(tensor.dtype())); }

/// Where the sums of `result` are made: itself, or f32 for bf16.
Tensor sums_of(const Tensor& result) {
  const DType dtype = parameter_dtype(result.dtype());
  if (dtype == result.dtype()) return result;
  return Tensor::empty(result.shape(), dtype, result.layout());
}

template <class T>
void global_mean(std::int64_t samples, std::int64_t channels, std::int64_t positions, Layout layout,
                 const T* x, T* y) {
  constexpr std::int64_t kChunk = 64;  // channels summed side by side in channels last
  const auto divisor = static_cast<double>(positions);
  parallel_for(samples, channels * positions, [&](std::int64_t n) {
    const T* from = x + n * channels * positions;
    T* to = y + n * channels;
    if (layout == Layout::channels_first) {
      for (std::int64_t c = 0; c < channels; ++c) {
        double sum = 0.0;
        for (std::int64_t s = 0; s < positions; ++s) {
          sum += in_double(from[c * positions + s]);
        }
        to[c] = stored<T>(sum / divisor);
      }
      return;
    }
    for (std::int64_t c0 = 0; c0 < channels; c0 += kChunk) {
      const std::int64_t width = std::min(kChunk, channels - c0);
      double sums[kChunk] = {};
      for (std::int64_t s = 0; s < positions; ++s) {
        for (std::int64_t c = 0; c < width; ++c) {
          sums[c] += in_double(from[s * channels + c0 + c]);
        }
      }
      for (std::int64_t c = 0; c < width; ++c) to[c0 + c] = stored<T>(sums[c] / divisor);
    }
  });
}

template <class T>
void global_spread(std::int64_t samples, std::int64_t channels, std::int64_t positions,
                   Layout layout, const T* dy, T* dx) {
  const auto divisor = static_cast<Arithmetic<T>>(positions);
  parallel_for(samples, channels * positions, [&](std::int64_t n) {
    const T* from = dy + n * channels;
    T* to = dx + n * channels * positions;
    if (layout == Layout::channels_first) {
      for (std::int64_t c = 0; c < channels; ++c) {
        std::fill_n(to + c * positions, positions, stored<T>(widened(from[c]) / divisor));
      }
      return;
    }
    for (std::int64_t s = 0; s < positions; ++s) {
      for (std::int64_t c = 0; c < channels; ++c) {
        to[s * channels + c] = stored<T>(widened(from[c]) / divisor);
      }
    }
  });
}

}  // namespace

Shape pool_output_shape(const Shape& x, const PoolOptions& options) {
  return output_shape(x, geometry_of("pool", x, options));
}

Tensor pool_forward(PoolKind kind, const Tensor& x, const PoolOptions& options, Tensor& y,
                    bool remember) {
  const char* const op = kind == PoolKind::max ? "max_pool" : "average_pool";
  detail::check_stored(op, "x", x);
  PoolGeometry g = geometry_of(op, x.shape(), options);
  g.layout = x.layout();
  detail::check_is_laid_out(op, "y", y, output_shape(x.shape(), g), x);
  detail::check_apart(op, {"y", y}, {{"x", x}});
  Tensor where;
  if (kind == PoolKind::max && remember) where = Tensor::empty(y.shape(), DType::i32, y.layout());
  if (y.numel() == 0) return where;
  if (kind == PoolKind::max) {
    detail::visit_stored(x, [&](auto zero) {
      using T = decltype(zero);
      max_pool_forward(g, x.data<T>(), y.data<T>(),
                       where.defined() ? where.data<std::int32_t>() : nullptr);
    });
    return where;
  }
  const Tensor from = summable(x);
  Tensor to = sums_of(y);
  detail::visit_float(from, [&](auto zero) {
    using T = decltype(zero);
    average_pool_forward(g, from.data<T>(), to.data<T>());
  });
  if (to.dtype() != y.dtype()) y.copy_from(to);
  return where;
}

void pool_backward(PoolKind kind, const Tensor& dy, const Tensor& memory,
                   const PoolOptions& options, Tensor& dx) {
  const char* const op = kind == PoolKind::max ? "max_pool_backward" : "average_pool_backward";
  detail::check_stored(op, "dy", dy);
  detail::check_defined(op, "dx", dx);
  PoolGeometry g = geometry_of(op, dx.shape(), options);
  g.layout = dx.layout();
  detail::check_is_laid_out(op, "dx", dx, dx.shape(), dy);
  detail::check_is_laid_out(op, "dy", dy, output_shape(dx.shape(), g), dx);
  if (kind == PoolKind::max &&
      (!memory.defined() || memory.dtype() != DType::i32 || !(memory.shape() == dy.shape()) ||
       memory.layout() != dy.layout())) {
    fail<ShapeError>(
        "[{}] expected the positions that pool_forward returned for y of shape {}; call it with "
        "remember = true",
        op, dy.shape().str());
  }
  detail::check_apart(op, {"dx", dx}, {{"dy", dy}, {"memory", memory}});
  if (dx.numel() == 0) return;
  const Tensor from = summable(dy);
  Tensor to = sums_of(dx);
  detail::visit_float(from, [&](auto zero) {
    using T = decltype(zero);
    if (kind == PoolKind::max) {
      max_pool_backward(g, from.data<T>(), memory.data<std::int32_t>(), to.data<T>());
    } else {
      average_pool_backward(g, from.data<T>(), to.data<T>());
    }
  });
  if (to.dtype() != dx.dtype()) dx.copy_from(to);
}

void global_average_pool_forward(const Tensor& x, Tensor& y) {
  const char* const op = "global_average_pool";
  detail::check_stored(op, "x", x);
  const std::int64_t positions = positions_of(op, x.shape());
  detail::check_is(op, "y", y, Shape{x.dim(0), x.dim(1)}, x);
  detail::check_apart(op, {"y", y}, {{"x", x}});
  detail::visit_stored(x, [&](auto zero) {
    using T = decltype(zero);
    global_mean(x.dim(0), x.dim(1), positions, x.layout(), x.data<T>(), y.data<T>());
  });
}

void global_average_pool_backward(const Tensor& dy, Tensor& dx) {
  const char* const op = "global_average_pool_backward";
  detail::check_stored(op, "dy", dy);
  detail::check_defined(op, "dx", dx);
  const std::int64_t positions = positions_of(op, dx.shape());
  detail::check_is(op, "dx", dx, dx.shape(), dy);
  detail::check_is(op, "dy", dy, Shape{dx.dim(0), dx.dim(1)}, dx);
  detail::check_apart(op, {"dx", dx}, {{"dy", dy}});
  detail::visit_stored(dy, [&](auto zero) {
    using T = decltype(zero);
    global_spread(dx.dim(0), dx.dim(1), positions, dx.layout(), dy.data<T>(), dx.data<T>());
  });
}

}  // namespace evenkeel::ops
