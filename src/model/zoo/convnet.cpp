// A plain convolutional network.

#include <algorithm>

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::model {

/// 64 filters of 3×3 and a pool, 64 and a pool, 128 twice, the mean over all positions, a linear
/// layer: 18 million multiply-adds for an image of [1, 28, 28].
nn::Sequential build_convnet(const NetworkOptions& options) {
  const Blocks blocks(options);
  nn::Sequential net;
  std::int64_t extent = std::min(options.input[1], options.input[2]);
  const auto pool = [&] {
    if (extent < 4) return;  // small images keep what they have
    net.add(nn::MaxPool2d(2));
    extent /= 2;
  };
  blocks.add_input_norm2d(net, options.input[0]);
  blocks.add_conv(net, options.input[0], 64, 3);
  pool();
  blocks.add_dropout(net);
  blocks.add_conv(net, 64, 64, 3);
  pool();
  blocks.add_dropout(net);
  blocks.add_conv(net, 64, 128, 3);
  blocks.add_conv(net, 128, 128, 3);
  net.add(nn::GlobalAvgPool());
  blocks.add_dropout(net);
  net.add(nn::Linear(128, options.classes));
  return net;
}

}  // namespace evenkeel::model
