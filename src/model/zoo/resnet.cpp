// Residual networks (He et al. 2016, https://arxiv.org/abs/1512.03385).

#include <algorithm>
#include <array>

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>

namespace evenkeel::model {
namespace {

/// Appends relu(body(x) + shortcut(x)), or with another activation. Where the shape changes, the
/// shortcut is a 1×1 projection (option B of the paper), else the identity.
void add_residual(nn::Sequential& net, const Blocks& blocks, nn::Sequential body, std::int64_t in,
                  std::int64_t out, std::int64_t stride) {
  const auto& [kind, slope] = blocks.activation();
  if (stride != 1 || in != out) {
    nn::Sequential shortcut;
    blocks.add_last_conv(shortcut, in, out, 1, stride);
    net.add(nn::Residual(std::move(body), std::move(shortcut), kind, slope));
  } else {
    net.add(nn::Residual(std::move(body), kind, slope));
  }
  blocks.end_residual(net, out);
}

void add_basic(nn::Sequential& net, const Blocks& blocks, std::int64_t in, std::int64_t out,
               std::int64_t stride) {
  nn::Sequential body;
  blocks.add_conv(body, in, out, 3, stride);
  blocks.add_last_conv(body, out, out, 3);
  add_residual(net, blocks, std::move(body), in, out, stride);
}

/// The stride sits in the 3×3 convolution, as in torchvision's ResNet ("v1.5").
void add_bottleneck(nn::Sequential& net, const Blocks& blocks, std::int64_t in, std::int64_t width,
                    std::int64_t stride) {
  const std::int64_t out = 4 * width;
  nn::Sequential body;
  blocks.add_conv(body, in, width, 1);
  blocks.add_conv(body, width, width, 3, stride);
  blocks.add_last_conv(body, width, out, 1);
  add_residual(net, blocks, std::move(body), in, out, stride);
}

void add_head(nn::Sequential& net, std::int64_t channels, std::int64_t classes) {
  net.add(nn::GlobalAvgPool());
  net.add(nn::Linear(channels, classes));
}

}  // namespace

nn::Sequential build_resnet20(const NetworkOptions& options) {
  const Blocks blocks(options);
  nn::Sequential net;
  blocks.add_input_norm2d(net, options.input[0]);
  blocks.add_conv(net, options.input[0], 16, 3);
  std::int64_t channels = 16;
  for (const std::int64_t width : {16, 32, 64}) {
    for (int block = 0; block < 3; ++block) {
      const std::int64_t stride = block == 0 && width > 16 ? 2 : 1;
      add_basic(net, blocks, channels, width, stride);
      channels = width;
    }
  }
  add_head(net, channels, options.classes);
  return net;
}

nn::Sequential build_resnet50(const NetworkOptions& options) {
  constexpr std::array<std::pair<std::int64_t, int>, 4> kStages{
      {{64, 3}, {128, 4}, {256, 6}, {512, 3}}};
  const Blocks blocks(options);
  nn::Sequential net;
  blocks.add_input_norm2d(net, options.input[0]);
  if (std::min(options.input[1], options.input[2]) < 64) {
    blocks.add_conv(net, options.input[0], 64, 3);  // a quarter of a small image is too little
  } else {
    blocks.add_conv(net, options.input[0], 64, 7, 2);
    net.add(nn::MaxPool2d(3, {.stride = 2, .padding = 1}));
  }
  std::int64_t channels = 64;
  for (const auto& [width, count] : kStages) {
    for (int block = 0; block < count; ++block) {
      const std::int64_t stride = block == 0 && width > 64 ? 2 : 1;
      add_bottleneck(net, blocks, channels, width, stride);
      channels = 4 * width;
    }
  }
  add_head(net, channels, options.classes);
  return net;
}

}  // namespace evenkeel::model
