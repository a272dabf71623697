// A small network of depthwise separable convolutions (Howard et al. 2017,
// https://arxiv.org/abs/1704.04861).

#include <array>

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::model {

/// A 3×3 convolution, then six pairs of a depthwise 3×3 and a 1×1: 17 million multiply-adds for an
/// image of [3, 32, 32].
nn::Sequential build_mobilenet_small(const NetworkOptions& options) {
  struct Pair {
    std::int64_t out, stride;
  };
  constexpr std::array<Pair, 6> kPairs{{{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {256, 1}}};
  const Blocks blocks(options);
  nn::Sequential net;
  blocks.add_input_norm2d(net, options.input[0]);
  blocks.add_conv(net, options.input[0], 32, 3);
  std::int64_t channels = 32;
  for (const Pair& pair : kPairs) {
    blocks.add_conv(net, channels, channels, 3, pair.stride, channels);
    blocks.add_conv(net, channels, pair.out, 1);
    channels = pair.out;
  }
  net.add(nn::GlobalAvgPool());
  blocks.add_dropout(net);
  net.add(nn::Linear(channels, options.classes));
  return net;
}

}  // namespace evenkeel::model
