#include "lab/networks.h"

#include "lab/small_nets.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/flatten.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kWeightStream = 0x77656967687473;

/// What stands behind a hidden layer's map.
void add_tail(nn::Sequential& network, const Place& place, const PlainNet& net) {
  if (net.norm == model::Placement::before) network.add(make_batch_norm(place));
  if (net.sigmoid) {
    network.add(nn::Sigmoid());
  } else {
    network.add(nn::ReLU());
  }
  if (net.norm == model::Placement::after) network.add(make_batch_norm(place));
}

/// Batch norm over the network's input.
void add_input_norm(nn::Sequential& network, const Shape& sample, bool convolutional) {
  if (!convolutional && sample.rank() > 1) network.add(nn::Flatten());
  const std::int64_t features = convolutional ? sample[0] : sample.numel();
  network.add(make_batch_norm({.features = features, .spatial = convolutional}));
}

}  // namespace

std::unique_ptr<nn::Module> build(const Material& material, const PlainNet& net,
                                  std::uint64_t seed) {
  const SmallNet plain{.convolutional = net.convolutional,
                       .widths = net.widths,
                       .bias = net.norm != model::Placement::before,
                       .tail = [&net](nn::Sequential& network, const Place& place) {
                         add_tail(network, place, net);
                       }};
  std::unique_ptr<nn::Module> hidden = builder(material, plain)(seed);
  if (net.norm != model::Placement::input) return hidden;
  auto whole = std::make_unique<nn::Sequential>();
  add_input_norm(*whole, material.sample(), net.convolutional);
  whole->add(std::move(hidden));
  return whole;
}

void use_sigmoid(nn::Module& network) {
  network.visit([](const std::string&, nn::Module& module) {
    auto* const container = dynamic_cast<nn::Container*>(&module);
    for (std::size_t i = 0; container != nullptr && i < container->child_count(); ++i) {
      if (container->child(i).type() == "ReLU") {
        container->replace(i, nn::to_owned(nn::Sigmoid()));
      }
    }
  });
}

void draw_weights(nn::Module& network, nn::init::Nonlinearity nonlinearity, std::uint64_t seed) {
  std::uint64_t number = 0;
  for (const nn::NamedParameter& named : network.parameters()) {
    Tensor& value = named.parameter->value;
    if (named.parameter->kind == nn::ParameterKind::bias) {
      value.fill(0);
    } else if (named.parameter->kind == nn::ParameterKind::weight) {
      Random random(seed, mix64(kWeightStream + number++));
      nn::init::kaiming_normal(value, random, {.nonlinearity = nonlinearity});
    }
  }
}

}  // namespace evenkeel::lab
