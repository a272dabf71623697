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
  if (x.rank() != 3 && x.rank() != 4) {
    fail<ShapeError>("[{}] expected an input [N, C, L] or [N, C, H, W], got {}", op, x.str());
  }
  const int spatial = x.rank() - 2;
  PoolGeometry g;
  g.samples = x[0];
  g.channels = x[1];
  g.count_include_pad = options.count_include_pad;
  for (int d = 0; d < spatial; ++d) {
    const auto from = static_cast<std::size_t>(d);
    const auto to = static_cast<std::size_t>(2 - spatial + d);  // one dimension is the width
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
  if (g.in[0] * g.in[1] > std::numeric_limits<std::int32_t>::max()) {
    fail<ShapeError>("[{}] expected fewer than 2^31 positions in a plane, got {}", op, x.str());
  }
  return g;
}

Shape output_shape(const Shape& x, const PoolGeometry& g) {
  if (x.rank() == 3) return {g.samples, g.channels, g.out[1]};
  return {g.samples, g.channels, g.out[0], g.out[1]};
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
          sum += static_cast<double>(from[c * positions + s]);
        }
        to[c] = static_cast<T>(sum / divisor);
      }
      return;
    }
    for (std::int64_t c0 = 0; c0 < channels; c0 += kChunk) {
      const std::int64_t width = std::min(kChunk, channels - c0);
      double sums[kChunk] = {};
      for (std::int64_t s = 0; s < positions; ++s) {
        for (std::int64_t c = 0; c < width; ++c) {
          sums[c] += static_cast<double>(from[s * channels + c0 + c]);
        }
      }
      for (std::int64_t c = 0; c < width; ++c) to[c0 + c] = static_cast<T>(sums[c] / divisor);
    }
  });
}

template <class T>
void global_spread(std::int64_t samples, std::int64_t channels, std::int64_t positions,
                   Layout layout, const T* dy, T* dx) {
  const auto divisor = static_cast<T>(positions);
  parallel_for(samples, channels * positions, [&](std::int64_t n) {
    const T* from = dy + n * channels;
    T* to = dx + n * channels * positions;
    if (layout == Layout::channels_first) {
      for (std::int64_t c = 0; c < channels; ++c) {
        std::fill_n(to + c * positions, positions, from[c] / divisor);
      }
      return;
    }
    for (std::int64_t s = 0; s < positions; ++s) {
      for (std::int64_t c = 0; c < channels; ++c) to[s * channels + c] = from[c] / divisor;
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
  detail::check_float(op, "x", x);
  PoolGeometry g = geometry_of(op, x.shape(), options);
  g.layout = x.layout();
  detail::check_is_laid_out(op, "y", y, output_shape(x.shape(), g), x);
  detail::check_apart(op, {"y", y}, {{"x", x}});
  Tensor where;
  if (kind == PoolKind::max && remember) where = Tensor::empty(y.shape(), DType::i32, y.layout());
  if (y.numel() == 0) return where;
  detail::visit_float(x, [&](auto zero) {
    using T = decltype(zero);
    if (kind == PoolKind::max) {
      max_pool_forward(g, x.data<T>(), y.data<T>(),
                       where.defined() ? where.data<std::int32_t>() : nullptr);
    } else {
      average_pool_forward(g, x.data<T>(), y.data<T>());
    }
  });
  return where;
}

void pool_backward(PoolKind kind, const Tensor& dy, const Tensor& memory,
                   const PoolOptions& options, Tensor& dx) {
  const char* const op = kind == PoolKind::max ? "max_pool_backward" : "average_pool_backward";
  detail::check_float(op, "dy", dy);
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
  detail::visit_float(dy, [&](auto zero) {
    using T = decltype(zero);
    if (kind == PoolKind::max) {
      max_pool_backward(g, dy.data<T>(), memory.data<std::int32_t>(), dx.data<T>());
    } else {
      average_pool_backward(g, dy.data<T>(), dx.data<T>());
    }
  });
}

void global_average_pool_forward(const Tensor& x, Tensor& y) {
  const char* const op = "global_average_pool";
  detail::check_float(op, "x", x);
  const std::int64_t positions = positions_of(op, x.shape());
  detail::check_is(op, "y", y, Shape{x.dim(0), x.dim(1)}, x);
  detail::check_apart(op, {"y", y}, {{"x", x}});
  detail::visit_float(x, [&](auto zero) {
    using T = decltype(zero);
    global_mean(x.dim(0), x.dim(1), positions, x.layout(), x.data<T>(), y.data<T>());
  });
}

void global_average_pool_backward(const Tensor& dy, Tensor& dx) {
  const char* const op = "global_average_pool_backward";
  detail::check_float(op, "dy", dy);
  detail::check_defined(op, "dx", dx);
  const std::int64_t positions = positions_of(op, dx.shape());
  detail::check_is(op, "dx", dx, dx.shape(), dy);
  detail::check_is(op, "dy", dy, Shape{dx.dim(0), dx.dim(1)}, dx);
  detail::check_apart(op, {"dx", dx}, {{"dy", dy}});
  detail::visit_float(dy, [&](auto zero) {
    using T = decltype(zero);
    global_spread(dx.dim(0), dx.dim(1), positions, dx.layout(), dy.data<T>(), dx.data<T>());
  });
}

}  // namespace evenkeel::ops
