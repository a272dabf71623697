// Convolution in plain loops: the oracle, and the way of f64. Every result is summed in one fixed
// order, by one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/conv_geometry.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::ops::reference {

/// Steps between neighbours of a feature map in memory.
struct Strides {
  std::int64_t n, c, position;

  Strides(std::int64_t channels, std::int64_t positions, Layout layout)
      : n(channels * positions),
        c(layout == Layout::channels_first ? positions : 1),
        position(layout == Layout::channels_first ? 1 : channels) {}
};

/// Calls f(output position, kernel position, input position) for every tap that does not fall on
/// padding.
template <class F>
void for_each_tap(const ConvGeometry& g, F&& f) {
  const auto at = [&](std::size_t d, std::int64_t o, std::int64_t k) {
    return o * g.stride[d] - g.padding[d] + k * g.dilation[d];
  };
  const auto inside = [&](std::size_t d, std::int64_t i) { return i >= 0 && i < g.in[d]; };
  std::int64_t out = 0;
  for (std::int64_t od = 0; od < g.out[0]; ++od) {
    for (std::int64_t oh = 0; oh < g.out[1]; ++oh) {
      for (std::int64_t ow = 0; ow < g.out[2]; ++ow, ++out) {
        for (std::int64_t kd = 0; kd < g.kernel[0]; ++kd) {
          const std::int64_t id = at(0, od, kd);
          if (!inside(0, id)) continue;
          for (std::int64_t kh = 0; kh < g.kernel[1]; ++kh) {
            const std::int64_t ih = at(1, oh, kh);
            if (!inside(1, ih)) continue;
            const std::int64_t tap = (kd * g.kernel[1] + kh) * g.kernel[2];
            const std::int64_t row = (id * g.in[1] + ih) * g.in[2];
            for (std::int64_t kw = 0; kw < g.kernel[2]; ++kw) {
              const std::int64_t iw = at(2, ow, kw);
              if (inside(2, iw)) f(out, tap + kw, row + iw);
            }
          }
        }
      }
    }
  }
}

template <class T>
void conv_forward(const ConvGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  const Strides in(g.in_channels, g.in_positions(), g.layout);
  const Strides out(g.out_channels, g.out_positions(), g.layout);
  const std::int64_t group_in = g.in_channels / g.groups;
  const std::int64_t group_out = g.out_channels / g.groups;
  parallel_for(g.samples * g.out_channels, g.work() / g.out_channels, [&](std::int64_t task) {
    const std::int64_t n = task / g.out_channels;
    const std::int64_t m = task % g.out_channels;
    T* to = y + n * out.n + m * out.c;
    for (std::int64_t o = 0; o < g.out_positions(); ++o) {
      to[o * out.position] = bias == nullptr ? T{0} : bias[m];
    }
    for (std::int64_t i = 0; i < group_in; ++i) {
      const T* from = x + n * in.n + (m / group_out * group_in + i) * in.c;
      const T* taps = w + (m * group_in + i) * g.taps();
      for_each_tap(g, [&](auto o, auto k, auto at) {
        to[o * out.position] += from[at * in.position] * taps[k];
      });
    }
  });
}

template <class T>
void conv_backward_data(const ConvGeometry& g, const T* dy, const T* w, T* dx) {
  const Strides in(g.in_channels, g.in_positions(), g.layout);
  const Strides out(g.out_channels, g.out_positions(), g.layout);
  const std::int64_t group_in = g.in_channels / g.groups;
  const std::int64_t group_out = g.out_channels / g.groups;
  parallel_for(g.samples * g.in_channels, g.work() / g.in_channels, [&](std::int64_t task) {
    const std::int64_t n = task / g.in_channels;
    const std::int64_t c = task % g.in_channels;
    T* to = dx + n * in.n + c * in.c;
    for (std::int64_t i = 0; i < g.in_positions(); ++i) to[i * in.position] = T{0};
    for (std::int64_t j = 0; j < group_out; ++j) {
      const std::int64_t m = c / group_in * group_out + j;
      const T* from = dy + n * out.n + m * out.c;
      const T* taps = w + (m * group_in + c % group_in) * g.taps();
      for_each_tap(g, [&](auto o, auto k, auto at) {
        to[at * in.position] += from[o * out.position] * taps[k];
      });
    }
  });
}

/// Adds to dw.
template <class T>
void conv_backward_weight(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  const Strides in(g.in_channels, g.in_positions(), g.layout);
  const Strides out(g.out_channels, g.out_positions(), g.layout);
  const std::int64_t group_in = g.in_channels / g.groups;
  const std::int64_t group_out = g.out_channels / g.groups;
  const std::int64_t planes = g.out_channels * group_in;
  parallel_for(planes, g.samples * g.work() / std::max<std::int64_t>(planes, 1),
               [&](std::int64_t task) {
                 const std::int64_t m = task / group_in;
                 const std::int64_t c = m / group_out * group_in + task % group_in;
                 T* taps = dw + task * g.taps();
                 for (std::int64_t n = 0; n < g.samples; ++n) {
                   const T* from_x = x + n * in.n + c * in.c;
                   const T* from_y = dy + n * out.n + m * out.c;
                   for_each_tap(g, [&](auto o, auto k, auto at) {
                     taps[k] += from_x[at * in.position] * from_y[o * out.position];
                   });
                 }
               });
}

}  // namespace evenkeel::ops::reference
