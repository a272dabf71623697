#include "model/zoo/blocks.h"

#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::model {
namespace {

void add_activation(nn::Sequential& net, const ActivationChoice& choice) {
  if (choice.kind == ops::ActivationKind::leaky_relu) {
    net.add(nn::LeakyReLU(choice.slope));
  } else if (choice.kind == ops::ActivationKind::sigmoid) {
    net.add(nn::Sigmoid());
  } else {
    net.add(nn::ReLU());
  }
}

}  // namespace

Blocks::Blocks(const NetworkOptions& options)
    : options_(options),
      norm_(parse_norm(options.norm)),
      activation_(parse_activation(options.activation)) {}

void Blocks::add_norm(nn::Sequential& net, std::int64_t features, bool spatial) const {
  net.add(norm_.kind->make({features, spatial, options_.eps, options_.momentum, norm_.number}));
}

void Blocks::add_input_norm1d(nn::Sequential& net, std::int64_t features) const {
  if (at_input()) add_norm(net, features, false);
}

void Blocks::add_input_norm2d(nn::Sequential& net, std::int64_t channels) const {
  if (at_input()) add_norm(net, channels, true);
}

void Blocks::add_linear(nn::Sequential& net, std::int64_t in, std::int64_t out,
                        ops::ActivationKind activation) const {
  net.add(nn::Linear(in, out, {.bias = !before()}));
  if (before()) add_norm(net, out, false);
  add_activation(
      net, activation == ops::ActivationKind::relu ? activation_ : ActivationChoice{activation});
  if (after()) add_norm(net, out, false);
}

nn::Conv2d Blocks::conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                        std::int64_t groups, bool bias) const {
  nn::Conv2dOptions options;
  options.stride = stride;
  options.padding = kernel / 2;
  options.groups = groups;
  options.bias = bias;
  options.weight_standardization = options_.weight_standardization;
  return nn::Conv2d(in, out, kernel, options);
}

void Blocks::add_conv(nn::Sequential& net, std::int64_t in, std::int64_t out, std::int64_t kernel,
                      std::int64_t stride, std::int64_t groups) const {
  net.add(conv(in, out, kernel, stride, groups, !before()));
  add_preactivation(net, out);
}

void Blocks::add_preactivation(nn::Sequential& net, std::int64_t channels) const {
  if (before()) add_norm(net, channels, true);
  add_activation(net, activation_);
  if (after()) add_norm(net, channels, true);
}

void Blocks::add_plain_conv(nn::Sequential& net, std::int64_t in, std::int64_t out,
                            std::int64_t kernel, std::int64_t stride) const {
  net.add(conv(in, out, kernel, stride, 1, norm_.none() || at_input()));
}

void Blocks::add_last_conv(nn::Sequential& net, std::int64_t in, std::int64_t out,
                           std::int64_t kernel, std::int64_t stride) const {
  net.add(conv(in, out, kernel, stride, 1, !before()));
  if (before()) add_norm(net, out, true);
}

void Blocks::end_residual(nn::Sequential& net, std::int64_t channels) const {
  if (after()) add_norm(net, channels, true);
}

void Blocks::add_dropout(nn::Sequential& net) const {
  if (options_.dropout > 0) net.add(nn::Dropout(options_.dropout));
}

}  // namespace evenkeel::model
