// A small densely connected network (Huang et al. 2017, https://arxiv.org/abs/1608.06993): every
// layer sees what all layers of its block before it gave, so that normalization comes first.

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::model {
namespace {

constexpr std::int64_t kGrowth = 16;
constexpr int kLayers = 4;
constexpr int kBlocks = 3;

/// x beside conv(relu(norm(x))).
void add_dense(nn::Sequential& net, const Blocks& blocks, std::int64_t channels) {
  nn::Sequential layer;
  blocks.add_preactivation(layer, channels);
  blocks.add_plain_conv(layer, channels, kGrowth, 3);
  net.add(nn::Concat(nn::Identity(), std::move(layer)));
}

}  // namespace

/// Three blocks of four layers with a growth of 16, half the channels and positions between them.
nn::Sequential build_densenet_small(const NetworkOptions& options) {
  const Blocks blocks(options);
  nn::Sequential net;
  std::int64_t channels = 2 * kGrowth;
  std::int64_t extent = std::min(options.input[1], options.input[2]);
  blocks.add_input_norm2d(net, options.input[0]);
  blocks.add_plain_conv(net, options.input[0], channels, 3);
  for (int block = 0; block < kBlocks; ++block) {
    if (block > 0) {
      blocks.add_preactivation(net, channels);
      blocks.add_plain_conv(net, channels, channels / 2, 1);
      channels /= 2;
      if (extent >= 4) {  // small images keep what they have
        net.add(nn::AvgPool2d(2));
        extent /= 2;
      }
    }
    for (int layer = 0; layer < kLayers; ++layer) {
      add_dense(net, blocks, channels);
      channels += kGrowth;
    }
  }
  blocks.add_preactivation(net, channels);
  net.add(nn::GlobalAvgPool());
  net.add(nn::Linear(channels, options.classes));
  return net;
}

}  // namespace evenkeel::model
