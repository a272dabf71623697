// A convolution's numbers, with one spatial dimension seen as two of which the first has extent 1.
#pragma once

#include <array>
#include <cstdint>

#include <evenkeel/core/dtype.h>
#include <evenkeel/core/layout.h>

namespace evenkeel::ops {

struct ConvGeometry {
  std::int64_t samples = 0;
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t groups = 1;
  std::array<std::int64_t, 2> in{1, 1};
  std::array<std::int64_t, 2> out{1, 1};
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> padding{0, 0};
  std::array<std::int64_t, 2> dilation{1, 1};
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;  ///< of the feature maps

  std::int64_t in_size() const { return in_channels * in[0] * in[1]; }      ///< of one sample
  std::int64_t out_size() const { return out_channels * out[0] * out[1]; }  ///< of one sample
  std::int64_t weight_size() const {
    return out_channels * (in_channels / groups) * kernel[0] * kernel[1];
  }
  /// Multiply-adds for one sample.
  std::int64_t work() const { return weight_size() * out[0] * out[1]; }
};

}  // namespace evenkeel::ops
