// A residual network whose blocks begin with the normalization (He et al. 2016,
// https://arxiv.org/abs/1603.05027): nothing stands on the way past a block.

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>

namespace evenkeel::model {
namespace {

/// body(x) + shortcut(x); where the shape changes, the shortcut is a 1×1 projection.
void add_block(nn::Sequential& net, const Blocks& blocks, std::int64_t in, std::int64_t out,
               std::int64_t stride) {
  nn::Sequential body;
  blocks.add_preactivation(body, in);
  blocks.add_plain_conv(body, in, out, 3, stride);
  blocks.add_preactivation(body, out);
  blocks.add_plain_conv(body, out, out, 3);
  if (stride != 1 || in != out) {
    nn::Sequential shortcut;
    blocks.add_plain_conv(shortcut, in, out, 1, stride);
    net.add(nn::Residual(std::move(body), std::move(shortcut)));
  } else {
    net.add(nn::Residual(std::move(body)));
  }
}

}  // namespace

nn::Sequential build_preact_resnet20(const NetworkOptions& options) {
  const Blocks blocks(options);
  nn::Sequential net;
  blocks.add_input_norm2d(net, options.input[0]);
  blocks.add_plain_conv(net, options.input[0], 16, 3);
  std::int64_t channels = 16;
  for (const std::int64_t width : {16, 32, 64}) {
    for (int block = 0; block < 3; ++block) {
      add_block(net, blocks, channels, width, block == 0 && width > 16 ? 2 : 1);
      channels = width;
    }
  }
  blocks.add_preactivation(net, channels);
  net.add(nn::GlobalAvgPool());
  net.add(nn::Linear(channels, options.classes));
  return net;
}

}  // namespace evenkeel::model
