#include "model/zoo/blocks.h"

#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::model {
namespace {

void add_activation(nn::Sequential& net, ops::ActivationKind kind) {
  if (kind == ops::ActivationKind::sigmoid) {
    net.add(nn::Sigmoid());
  } else {
    net.add(nn::ReLU());
  }
}

}  // namespace

Blocks::Blocks(const NetworkOptions& options) : options_(options), batch_(options.norm == "batch") {
  norm_.eps = options.eps;
  norm_.momentum = options.momentum;
}

void Blocks::add_input_norm1d(nn::Sequential& net, std::int64_t features) const {
  if (at_input()) net.add(nn::BatchNorm1d(features, norm_));
}

void Blocks::add_input_norm2d(nn::Sequential& net, std::int64_t channels) const {
  if (at_input()) net.add(nn::BatchNorm2d(channels, norm_));
}

void Blocks::add_linear(nn::Sequential& net, std::int64_t in, std::int64_t out,
                        ops::ActivationKind activation) const {
  net.add(nn::Linear(in, out, {.bias = !before()}));
  if (before()) net.add(nn::BatchNorm1d(out, norm_));
  add_activation(net, activation);
  if (after()) net.add(nn::BatchNorm1d(out, norm_));
}

nn::Conv2d Blocks::conv(std::int64_t in, std::int64_t out, std::int64_t kernel,
                        std::int64_t stride) const {
  nn::Conv2dOptions options;
  options.stride = stride;
  options.padding = kernel / 2;
  options.bias = !before();
  return nn::Conv2d(in, out, kernel, options);
}

void Blocks::add_conv(nn::Sequential& net, std::int64_t in, std::int64_t out, std::int64_t kernel,
                      std::int64_t stride) const {
  net.add(conv(in, out, kernel, stride));
  if (before()) net.add(nn::BatchNorm2d(out, norm_));
  net.add(nn::ReLU());
  if (after()) net.add(nn::BatchNorm2d(out, norm_));
}

void Blocks::add_last_conv(nn::Sequential& net, std::int64_t in, std::int64_t out,
                           std::int64_t kernel, std::int64_t stride) const {
  net.add(conv(in, out, kernel, stride));
  if (before()) net.add(nn::BatchNorm2d(out, norm_));
}

void Blocks::end_residual(nn::Sequential& net, std::int64_t channels) const {
  if (after()) net.add(nn::BatchNorm2d(channels, norm_));
}

void Blocks::add_dropout(nn::Sequential& net) const {
  if (options_.dropout > 0) net.add(nn::Dropout(options_.dropout));
}

}  // namespace evenkeel::model
