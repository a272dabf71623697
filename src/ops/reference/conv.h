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
  std::int64_t n, c, h, w;

  Strides(std::int64_t channels, std::array<std::int64_t, 2> size, Layout layout)
      : n(channels * size[0] * size[1]),
        c(layout == Layout::channels_first ? size[0] * size[1] : 1),
        h(layout == Layout::channels_first ? size[1] : size[1] * channels),
        w(layout == Layout::channels_first ? 1 : channels) {}
};

/// Calls f(output h, output w, kernel h, kernel w, input h, input w) for every tap that does not
/// fall on padding.
template <class F>
void for_each_tap(const ConvGeometry& g, F&& f) {
  for (std::int64_t oh = 0; oh < g.out[0]; ++oh) {
    for (std::int64_t ow = 0; ow < g.out[1]; ++ow) {
      for (std::int64_t kh = 0; kh < g.kernel[0]; ++kh) {
        const std::int64_t ih = oh * g.stride[0] - g.padding[0] + kh * g.dilation[0];
        if (ih < 0 || ih >= g.in[0]) continue;
        for (std::int64_t kw = 0; kw < g.kernel[1]; ++kw) {
          const std::int64_t iw = ow * g.stride[1] - g.padding[1] + kw * g.dilation[1];
          if (iw < 0 || iw >= g.in[1]) continue;
          f(oh, ow, kh, kw, ih, iw);
        }
      }
    }
  }
}

template <class T>
void conv_forward(const ConvGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  const Strides in(g.in_channels, g.in, g.layout);
  const Strides out(g.out_channels, g.out, g.layout);
  const std::int64_t group_in = g.in_channels / g.groups;
  const std::int64_t group_out = g.out_channels / g.groups;
  parallel_for(g.samples * g.out_channels, g.work() / g.out_channels, [&](std::int64_t task) {
    const std::int64_t n = task / g.out_channels;
    const std::int64_t m = task % g.out_channels;
    T* to = y + n * out.n + m * out.c;
    for (std::int64_t oh = 0; oh < g.out[0]; ++oh) {
      for (std::int64_t ow = 0; ow < g.out[1]; ++ow) {
        to[oh * out.h + ow * out.w] = bias == nullptr ? T{0} : bias[m];
      }
    }
    for (std::int64_t i = 0; i < group_in; ++i) {
      const T* from = x + n * in.n + (m / group_out * group_in + i) * in.c;
      const T* taps = w + (m * group_in + i) * g.kernel[0] * g.kernel[1];
      for_each_tap(g, [&](auto oh, auto ow, auto kh, auto kw, auto ih, auto iw) {
        to[oh * out.h + ow * out.w] += from[ih * in.h + iw * in.w] * taps[kh * g.kernel[1] + kw];
      });
    }
  });
}

template <class T>
void conv_backward_data(const ConvGeometry& g, const T* dy, const T* w, T* dx) {
  const Strides in(g.in_channels, g.in, g.layout);
  const Strides out(g.out_channels, g.out, g.layout);
  const std::int64_t group_in = g.in_channels / g.groups;
  const std::int64_t group_out = g.out_channels / g.groups;
  parallel_for(g.samples * g.in_channels, g.work() / g.in_channels, [&](std::int64_t task) {
    const std::int64_t n = task / g.in_channels;
    const std::int64_t c = task % g.in_channels;
    T* to = dx + n * in.n + c * in.c;
    for (std::int64_t ih = 0; ih < g.in[0]; ++ih) {
      for (std::int64_t iw = 0; iw < g.in[1]; ++iw) to[ih * in.h + iw * in.w] = T{0};
    }
    for (std::int64_t j = 0; j < group_out; ++j) {
      const std::int64_t m = c / group_in * group_out + j;
      const T* from = dy + n * out.n + m * out.c;
      const T* taps = w + (m * group_in + c % group_in) * g.kernel[0] * g.kernel[1];
      for_each_tap(g, [&](auto oh, auto ow, auto kh, auto kw, auto ih, auto iw) {
        to[ih * in.h + iw * in.w] += from[oh * out.h + ow * out.w] * taps[kh * g.kernel[1] + kw];
      });
    }
  });
}

/// Adds to dw.
template <class T>
void conv_backward_weight(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  const Strides in(g.in_channels, g.in, g.layout);
  const Strides out(g.out_channels, g.out, g.layout);
  const std::int64_t group_in = g.in_channels / g.groups;
  const std::int64_t group_out = g.out_channels / g.groups;
  const std::int64_t planes = g.out_channels * group_in;
  parallel_for(planes, g.samples * g.work() / std::max<std::int64_t>(planes, 1),
               [&](std::int64_t task) {
                 const std::int64_t m = task / group_in;
                 const std::int64_t c = m / group_out * group_in + task % group_in;
                 T* taps = dw + task * g.kernel[0] * g.kernel[1];
                 for (std::int64_t n = 0; n < g.samples; ++n) {
                   const T* from_x = x + n * in.n + c * in.c;
                   const T* from_y = dy + n * out.n + m * out.c;
                   for_each_tap(g, [&](auto oh, auto ow, auto kh, auto kw, auto ih, auto iw) {
                     taps[kh * g.kernel[1] + kw] +=
                         from_x[ih * in.h + iw * in.w] * from_y[oh * out.h + ow * out.w];
                   });
                 }
               });
}

}  // namespace evenkeel::ops::reference
