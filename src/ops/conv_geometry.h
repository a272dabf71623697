// A convolution's numbers, with one or two spatial dimensions seen as three of which the first have
// extent 1.
#pragma once

#include <cstdint>

#include <evenkeel/core/dtype.h>
#include <evenkeel/core/layout.h>
#include <evenkeel/ops/spatial.h>

namespace evenkeel::ops {

struct ConvGeometry {
  std::int64_t samples = 0;
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t groups = 1;
  Spatial in{1, 1, 1};
  Spatial out{1, 1, 1};
  Spatial kernel{1, 1, 1};
  Spatial stride{1, 1, 1};
  Spatial padding{0, 0, 0};
  Spatial dilation{1, 1, 1};
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;  ///< of the feature maps

  std::int64_t in_positions() const { return in[0] * in[1] * in[2]; }
  std::int64_t out_positions() const { return out[0] * out[1] * out[2]; }
  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::int64_t in_size() const { return in_channels * in_positions(); }     ///< of one sample
  std::int64_t out_size() const { return out_channels * out_positions(); }  ///< of one sample
  std::int64_t weight_size() const { return out_channels * (in_channels / groups) * taps(); }
  /// Multiply-adds for one sample.
  std::int64_t work() const { return weight_size() * out_positions(); }
  /// Whether there is nothing along the first dimension: a convolution of planes.
  bool is_flat() const { return in[0] == 1 && kernel[0] == 1 && padding[0] == 0; }
};

}  // namespace evenkeel::ops
