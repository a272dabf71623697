// Fully connected networks.

#include "model/zoo/blocks.h"
#include "model/zoo/zoo.h"
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::model {
namespace {

nn::Sequential build(const NetworkOptions& options, std::initializer_list<std::int64_t> widths,
                     ops::ActivationKind activation) {
  const Blocks blocks(options);
  nn::Sequential net;
  if (options.input.rank() > 1) net.add(nn::Flatten());
  std::int64_t features = options.input.numel();
  blocks.add_input_norm1d(net, features);
  for (const std::int64_t width : widths) {
    blocks.add_linear(net, features, width, activation);
    blocks.add_dropout(net);
    features = width;
  }
  net.add(nn::Linear(features, options.classes));
  return net;
}

}  // namespace

nn::Sequential build_mlp(const NetworkOptions& options) {
  return build(options, {256, 128}, ops::ActivationKind::relu);
}

/// The network of section 4.1 of Ioffe and Szegedy 2015 (https://arxiv.org/abs/1502.03167).
nn::Sequential build_paper_mlp(const NetworkOptions& options) {
  return build(options, {100, 100, 100}, ops::ActivationKind::sigmoid);
}

}  // namespace evenkeel::model
