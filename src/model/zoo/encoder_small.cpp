// A small encoder of self-attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762), over the
// steps of sequences or over the patches of images (Dosovitskiy et al. 2021,
// https://arxiv.org/abs/2010.11929).

#include <algorithm>
#include <array>

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/layers/encoder.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/positional.h>
#include <evenkeel/nn/layers/time_pool.h>

namespace evenkeel::model {
namespace {

constexpr std::int64_t kWidth = 64;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kFeedforward = 128;
constexpr int kLayers = 3;
constexpr std::int64_t kPatch = 4;

/// Every square of kPatch×kPatch pixels becomes a step.
void add_patches(nn::Sequential& net, const Shape& image) {
  if (image[1] % kPatch != 0 || image[2] % kPatch != 0 || image.numel() == 0) {
    fail<ShapeError>(
        "[encoder-small] expected images whose height and width are multiples of {}, got {}; crop "
        "or pad them",
        kPatch, image.str());
  }
  nn::Conv2dOptions options;
  options.stride = kPatch;
  net.add(nn::Conv2d(image[0], kWidth, kPatch, options));
  net.add(nn::Flatten({.start_dim = 2}));
  const std::int64_t steps = (image[1] / kPatch) * (image[2] / kPatch);
  net.add(nn::PositionalEncoding(kWidth, {nn::PositionKind::learned, steps}));
}

void add_steps(nn::Sequential& net, std::int64_t features) {
  net.add(nn::Conv1d(features, kWidth, 1));
  net.add(nn::PositionalEncoding(kWidth));
}

/// What an encoder layer knows of the norms.
std::string norm_of_layers(const NetworkOptions& options) {
  constexpr std::array<std::string_view, 4> kKnown{"layer", "rms", "batch", "none"};
  if (std::ranges::find(kKnown, options.norm) == kKnown.end()) {
    fail<UsageError>("[encoder-small] norm is layer, rms, batch or none, not '{}'", options.norm);
  }
  return options.placement == Placement::input ? "none" : options.norm;
}

}  // namespace

nn::Sequential build_encoder_small(const NetworkOptions& options) {
  nn::EncoderOptions layer;
  layer.feedforward_dim = kFeedforward;
  layer.norm = norm_of_layers(options);
  layer.norm_first = options.placement == Placement::before;
  layer.dropout = options.dropout;
  layer.eps = options.eps;
  layer.momentum = options.momentum;

  const Blocks blocks(options);
  const bool images = options.input.rank() == 3;
  nn::Sequential net;
  if (images) {
    blocks.add_input_norm2d(net, options.input[0]);
    add_patches(net, options.input);
  } else {
    blocks.add_input_norm1d(net, options.input[0]);
    add_steps(net, options.input[0]);
  }
  for (int i = 0; i < kLayers; ++i) net.add(nn::EncoderLayer(kWidth, kHeads, layer));
  net.add(nn::MeanOverTime());
  if (layer.norm != "none" && layer.norm_first) blocks.add_norm(net, kWidth, false);
  net.add(nn::Linear(kWidth, options.classes));
  return net;
}

}  // namespace evenkeel::model
