// Pooling in plain loops, for all types: it is bound by memory, and oneDNN's maximum drops NaN.
// Every result is computed by one thread in one fixed order.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <evenkeel/core/layout.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/stored.h>

namespace evenkeel::ops {

/// One spatial dimension is seen as two of which the first has extent 1.
struct PoolGeometry {
  std::int64_t samples = 0;
  std::int64_t channels = 0;
  std::array<std::int64_t, 2> in{1, 1};
  std::array<std::int64_t, 2> out{1, 1};
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> padding{0, 0};
  bool count_include_pad = true;
  Layout layout = Layout::channels_first;

  std::int64_t in_positions() const { return in[0] * in[1]; }
  std::int64_t out_positions() const { return out[0] * out[1]; }

  /// First position of the window of output o in dimension d, and the one after its last, without
  /// padding.
  std::int64_t window_begin(std::size_t d, std::int64_t o) const {
    return std::max<std::int64_t>(o * stride[d] - padding[d], 0);
  }
  std::int64_t window_end(std::size_t d, std::int64_t o) const {
    return std::min(o * stride[d] - padding[d] + kernel[d], in[d]);
  }
  /// What the sum over a window is divided by.
  std::int64_t divisor(std::int64_t oh, std::int64_t ow) const {
    if (count_include_pad) return kernel[0] * kernel[1];
    return (window_end(0, oh) - window_begin(0, oh)) * (window_end(1, ow) - window_begin(1, ow));
  }
};

/// Some neighbouring outputs of one row and the inputs that one kernel position pairs them with.
/// Channels first: `count` columns of a plane, `step` = the stride. Channels last: the channels of
/// one column, `step` = 1.
struct TapRun {
  std::int64_t out;       ///< offset of the first output
  std::int64_t in;        ///< offset of its input
  std::int64_t count;     ///< outputs
  std::int64_t step;      ///< between inputs
  std::int64_t position;  ///< of the first input in its plane
  std::int64_t advance;   ///< of the position from output to output
};

/// For every output row: begin(oh, offset of the row in y), then run(oh, ow, TapRun) for each
/// kernel position, in the order of the kernel, then end(oh, offset). `ow` is the column of the
/// run's first output. The pieces of the parallel work are planes in channels first, samples in
/// channels last; each begins with start(offset in x, elements).
template <class Piece, class Begin, class Run, class End>
void for_each_row(const PoolGeometry& g, Piece&& start, Begin&& begin_row, Run&& run,
                  End&& end_row) {
  const bool first = g.layout == Layout::channels_first;
  const std::int64_t width = first ? 1 : g.channels;
  const std::int64_t pieces = first ? g.samples * g.channels : g.samples;
  const std::int64_t cost = g.out_positions() * g.kernel[0] * g.kernel[1] * width;
  parallel_for(pieces, cost, [&](std::int64_t piece) {
    const std::int64_t in = piece * g.in_positions() * width;
    const std::int64_t out = piece * g.out_positions() * width;
    start(in, g.in_positions() * width);
    for (std::int64_t oh = 0; oh < g.out[0]; ++oh) {
      const std::int64_t row_out = out + oh * g.out[1] * width;
      begin_row(oh, row_out);
      for (std::int64_t h = g.window_begin(0, oh); h < g.window_end(0, oh); ++h) {
        if (first) {
          for (std::int64_t kw = 0; kw < g.kernel[1]; ++kw) {
            // Columns whose input w = ow·stride + kw − padding lies in the plane.
            const std::int64_t shift = g.padding[1] - kw;
            const std::int64_t begin = shift <= 0 ? 0 : (shift + g.stride[1] - 1) / g.stride[1];
            const std::int64_t last = g.in[1] - 1 + shift;
            const std::int64_t end = last < 0 ? 0 : std::min(g.out[1], last / g.stride[1] + 1);
            if (begin >= end) continue;
            const std::int64_t position = h * g.in[1] + begin * g.stride[1] - shift;
            run(oh, begin,
                TapRun{row_out + begin, in + position, end - begin, g.stride[1], position,
                       g.stride[1]});
          }
        } else {
          for (std::int64_t ow = 0; ow < g.out[1]; ++ow) {
            for (std::int64_t w = g.window_begin(1, ow); w < g.window_end(1, ow); ++w) {
              const std::int64_t position = h * g.in[1] + w;
              run(oh, ow,
                  TapRun{row_out + ow * width, in + position * width, width, 1, position, 0});
            }
          }
        }
      }
      end_row(oh, row_out);
    }
  });
}

constexpr auto kNothing = [](std::int64_t, std::int64_t) {};

/// Runs loop(step) with the common steps as constants, so that it vectorizes.
template <class Loop>
void with_step(std::int64_t step, Loop&& loop) {
  if (step == 1) return loop(std::integral_constant<std::int64_t, 1>{});
  if (step == 2) return loop(std::integral_constant<std::int64_t, 2>{});
  loop(step);
}

/// y and, where `where` is not null, the position of each maximum in its plane. The first of equals
/// stays, and NaN is never lost.
template <class T>
void max_pool_forward(const PoolGeometry& g, const T* x, T* y, std::int32_t* where) {
  const std::int64_t width = g.layout == Layout::channels_first ? 1 : g.channels;
  const auto start_row = [&](std::int64_t oh, std::int64_t out) {
    std::fill_n(y + out, g.out[1] * width,
                stored<T>(-std::numeric_limits<Arithmetic<T>>::infinity()));
    if (where == nullptr) return;
    for (std::int64_t ow = 0; ow < g.out[1]; ++ow) {  // nothing exceeds -inf: then the first it is
      const std::int64_t first = g.window_begin(0, oh) * g.in[1] + g.window_begin(1, ow);
      std::fill_n(where + out + ow * width, width, static_cast<std::int32_t>(first));
    }
  };
  const auto run = [&](std::int64_t, std::int64_t, const TapRun& r) {
    with_step(r.step, [&](auto step) {
      const T* from = x + r.in;
      T* best = y + r.out;
      if (where == nullptr) {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < r.count; ++i) {
          const T stays = from[i * step];
          const auto v = widened(stays);
          best[i] = ((v > widened(best[i])) | (v != v)) ? stays : best[i];
        }
        return;
      }
      std::int32_t* at = where + r.out;
      const auto position = static_cast<std::int32_t>(r.position);
      const auto advance = static_cast<std::int32_t>(r.advance);
      const auto count = static_cast<std::int32_t>(r.count);
#pragma GCC ivdep
      for (std::int32_t i = 0; i < count; ++i) {
        const T stays = from[i * step];
        const auto v = widened(stays);
        const bool better = (v > widened(best[i])) | (v != v);
        best[i] = better ? stays : best[i];
        at[i] = better ? position + i * advance : at[i];
      }
    });
  };
  for_each_row(g, kNothing, start_row, run, kNothing);
}

template <class T>
void max_pool_backward(const PoolGeometry& g, const T* dy, const std::int32_t* where, T* dx) {
  const bool first = g.layout == Layout::channels_first;
  const std::int64_t width = first ? 1 : g.channels;
  const std::int64_t pieces = first ? g.samples * g.channels : g.samples;
  parallel_for(pieces, g.in_positions() * width, [&](std::int64_t piece) {
    T* to = dx + piece * g.in_positions() * width;
    const std::int64_t out = piece * g.out_positions() * width;
    std::fill_n(to, g.in_positions() * width, T{0});
    for (std::int64_t o = 0; o < g.out_positions(); ++o) {
      const T* from = dy + out + o * width;
      const std::int32_t* at = where + out + o * width;
      for (std::int64_t c = 0; c < width; ++c) to[at[c] * width + c] += from[c];
    }
  });
}

template <class T>
void average_pool_forward(const PoolGeometry& g, const T* x, T* y) {
  const std::int64_t width = g.layout == Layout::channels_first ? 1 : g.channels;
  const auto zero = [&](std::int64_t, std::int64_t out) {
    std::fill_n(y + out, g.out[1] * width, T{0});
  };
  const auto add = [&](std::int64_t, std::int64_t, const TapRun& r) {
    with_step(r.step, [&](auto step) {
      const T* from = x + r.in;
      T* sum = y + r.out;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < r.count; ++i) sum[i] += from[i * step];
    });
  };
  const auto divide = [&](std::int64_t oh, std::int64_t out) {
    for (std::int64_t ow = 0; ow < g.out[1]; ++ow) {
      const T divisor = static_cast<T>(g.divisor(oh, ow));
      T* sum = y + out + ow * width;
      for (std::int64_t c = 0; c < width; ++c) sum[c] /= divisor;
    }
  };
  for_each_row(g, kNothing, zero, add, divide);
}

template <class T>
void average_pool_backward(const PoolGeometry& g, const T* dy, T* dx) {
  const auto zero = [&](std::int64_t in, std::int64_t count) { std::fill_n(dx + in, count, T{0}); };
  const bool varies = g.layout == Layout::channels_first && !g.count_include_pad;  // within a run
  const auto add = [&](std::int64_t oh, std::int64_t ow, const TapRun& r) {
    const T* from = dy + r.out;
    T* to = dx + r.in;
    if (varies) {
      for (std::int64_t i = 0; i < r.count; ++i) {
        to[i * r.step] += from[i] / static_cast<T>(g.divisor(oh, ow + i));
      }
      return;
    }
    const T divisor = static_cast<T>(g.divisor(oh, ow));
    with_step(r.step, [&](auto step) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < r.count; ++i) to[i * step] += from[i] / divisor;
    });
  };
  for_each_row(g, zero, kNothing, add, kNothing);
}

}  // namespace evenkeel::ops
