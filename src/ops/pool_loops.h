// Pooling in plain loops, for all types: it is bound by memory, and oneDNN's maximum drops NaN.
// Every result is computed by one thread in one fixed order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <evenkeel/core/layout.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/stored.h>
#include <evenkeel/ops/spatial.h>

namespace evenkeel::ops {

/// One or two spatial dimensions are seen as three of which the first have extent 1.
struct PoolGeometry {
  std::int64_t samples = 0;
  std::int64_t channels = 0;
  Spatial in{1, 1, 1};
  Spatial out{1, 1, 1};
  Spatial kernel{1, 1, 1};
  Spatial stride{1, 1, 1};
  Spatial padding{0, 0, 0};
  bool count_include_pad = true;
  Layout layout = Layout::channels_first;

  std::int64_t in_positions() const { return in[0] * in[1] * in[2]; }
  std::int64_t out_positions() const { return out[0] * out[1] * out[2]; }
  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }

  /// First position of the window of output o in dimension d, and the one after its last, without
  /// padding.
  std::int64_t window_begin(std::size_t d, std::int64_t o) const {
    return std::max<std::int64_t>(o * stride[d] - padding[d], 0);
  }
  std::int64_t window_end(std::size_t d, std::int64_t o) const {
    return std::min(o * stride[d] - padding[d] + kernel[d], in[d]);
  }
  std::int64_t window_length(std::size_t d, std::int64_t o) const {
    return window_end(d, o) - window_begin(d, o);
  }
};

/// One row of outputs: those of a depth and a height.
struct OutRow {
  const PoolGeometry& g;
  std::int64_t d, h;
  std::int64_t out;  ///< offset of its first output

  /// Of the window of output w: where it begins in its map.
  std::int64_t window_begin(std::int64_t w) const {
    return (g.window_begin(0, d) * g.in[1] + g.window_begin(1, h)) * g.in[2] + g.window_begin(2, w);
  }
  /// What the sum over that window is divided by.
  std::int64_t divisor(std::int64_t w) const {
    if (g.count_include_pad) return g.taps();
    return g.window_length(0, d) * g.window_length(1, h) * g.window_length(2, w);
  }
};

/// Some neighbouring outputs of one row and the inputs that one kernel position pairs them with.
/// Channels first: `count` columns of a map, `step` = the stride. Channels last: the channels of
/// one column, `step` = 1.
struct TapRun {
  std::int64_t out;       ///< offset of the first output
  std::int64_t in;        ///< offset of its input
  std::int64_t count;     ///< outputs
  std::int64_t step;      ///< between inputs
  std::int64_t position;  ///< of the first input in its map
  std::int64_t advance;   ///< of the position from output to output
};

/// For each kernel position that pairs outputs of `row` with inputs of the row at `in_row` (its
/// position in the map, which begins at offset `in`): run(row, column of the first output, TapRun).
template <class Run>
void for_each_run(const OutRow& row, std::int64_t in, std::int64_t in_row, Run&& run) {
  const PoolGeometry& g = row.g;
  if (g.layout == Layout::channels_first) {
    for (std::int64_t kw = 0; kw < g.kernel[2]; ++kw) {
      // Columns whose input w = ow·stride + kw − padding lies in the map.
      const std::int64_t shift = g.padding[2] - kw;
      const std::int64_t begin = shift <= 0 ? 0 : (shift + g.stride[2] - 1) / g.stride[2];
      const std::int64_t last = g.in[2] - 1 + shift;
      const std::int64_t end = last < 0 ? 0 : std::min(g.out[2], last / g.stride[2] + 1);
      if (begin >= end) continue;
      const std::int64_t position = in_row + begin * g.stride[2] - shift;
      run(row, begin,
          TapRun{row.out + begin, in + position, end - begin, g.stride[2], position, g.stride[2]});
    }
    return;
  }
  for (std::int64_t ow = 0; ow < g.out[2]; ++ow) {
    for (std::int64_t w = g.window_begin(2, ow); w < g.window_end(2, ow); ++w) {
      const std::int64_t position = in_row + w;
      run(row, ow,
          TapRun{row.out + ow * g.channels, in + position * g.channels, g.channels, 1, position,
                 0});
    }
  }
}

/// For every output row: begin(row), then run(row, ow, TapRun) for each kernel position, in the
/// order of the kernel, then end(row). `ow` is the column of the run's first output. The pieces of
/// the parallel work are maps in channels first, samples in channels last; each begins with
/// start(offset in x, elements).
template <class Piece, class Begin, class Run, class End>
void for_each_row(const PoolGeometry& g, Piece&& start, Begin&& begin_row, Run&& run,
                  End&& end_row) {
  const bool first = g.layout == Layout::channels_first;
  const std::int64_t width = first ? 1 : g.channels;
  const std::int64_t pieces = first ? g.samples * g.channels : g.samples;
  const std::int64_t cost = g.out_positions() * g.taps() * width;
  parallel_for(pieces, cost, [&](std::int64_t piece) {
    const std::int64_t in = piece * g.in_positions() * width;
    start(in, g.in_positions() * width);
    OutRow row{g, 0, 0, piece * g.out_positions() * width};
    for (row.d = 0; row.d < g.out[0]; ++row.d) {
      for (row.h = 0; row.h < g.out[1]; ++row.h, row.out += g.out[2] * width) {
        begin_row(row);
        for (std::int64_t d = g.window_begin(0, row.d); d < g.window_end(0, row.d); ++d) {
          for (std::int64_t h = g.window_begin(1, row.h); h < g.window_end(1, row.h); ++h) {
            for_each_run(row, in, (d * g.in[1] + h) * g.in[2], run);
          }
        }
        end_row(row);
      }
    }
  });
}

constexpr auto kNothing = [](const auto&...) {};

/// Runs loop(step) with the common steps as constants, so that it vectorizes.
template <class Loop>
void with_step(std::int64_t step, Loop&& loop) {
  if (step == 1) return loop(std::integral_constant<std::int64_t, 1>{});
  if (step == 2) return loop(std::integral_constant<std::int64_t, 2>{});
  loop(step);
}

/// y and, where `where` is not null, the position of each maximum in its map. The first of equals
/// stays, and NaN is never lost.
template <class T>
void max_pool_forward(const PoolGeometry& g, const T* x, T* y, std::int32_t* where) {
  const std::int64_t width = g.layout == Layout::channels_first ? 1 : g.channels;
  const auto start_row = [&](const OutRow& row) {
    std::fill_n(y + row.out, g.out[2] * width,
                stored<T>(-std::numeric_limits<Arithmetic<T>>::infinity()));
    if (where == nullptr) return;
    for (std::int64_t ow = 0; ow < g.out[2]; ++ow) {  // nothing exceeds -inf: then the first it is
      std::fill_n(where + row.out + ow * width, width,
                  static_cast<std::int32_t>(row.window_begin(ow)));
    }
  };
  const auto run = [&](const OutRow&, std::int64_t, const TapRun& r) {
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
  const auto zero = [&](const OutRow& row) { std::fill_n(y + row.out, g.out[2] * width, T{0}); };
  const auto add = [&](const OutRow&, std::int64_t, const TapRun& r) {
    with_step(r.step, [&](auto step) {
      const T* from = x + r.in;
      T* sum = y + r.out;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < r.count; ++i) sum[i] += from[i * step];
    });
  };
  const auto divide = [&](const OutRow& row) {
    for (std::int64_t ow = 0; ow < g.out[2]; ++ow) {
      const T divisor = static_cast<T>(row.divisor(ow));
      T* sum = y + row.out + ow * width;
      for (std::int64_t c = 0; c < width; ++c) sum[c] /= divisor;
    }
  };
  for_each_row(g, kNothing, zero, add, divide);
}

template <class T>
void average_pool_backward(const PoolGeometry& g, const T* dy, T* dx) {
  const auto zero = [&](std::int64_t in, std::int64_t count) { std::fill_n(dx + in, count, T{0}); };
  const bool varies = g.layout == Layout::channels_first && !g.count_include_pad;  // within a run
  const auto add = [&](const OutRow& row, std::int64_t ow, const TapRun& r) {
    const T* from = dy + r.out;
    T* to = dx + r.in;
    if (varies) {
      for (std::int64_t i = 0; i < r.count; ++i) {
        to[i * r.step] += from[i] / static_cast<T>(row.divisor(ow + i));
      }
      return;
    }
    const T divisor = static_cast<T>(row.divisor(ow));
    with_step(r.step, [&](auto step) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < r.count; ++i) to[i * step] += from[i] / divisor;
    });
  };
  for_each_row(g, zero, kNothing, add, kNothing);
}

}  // namespace evenkeel::ops
