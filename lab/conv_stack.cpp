#include "lab/conv_stack.h"

#include <algorithm>

#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kWeightStream = 0x636f6e7673746163;

void draw_weights(nn::Module& network, std::uint64_t seed) {
  const Random random(seed, kWeightStream);
  std::uint64_t number = 0;
  network.visit([&](const std::string& /*path*/, nn::Module& module) {
    auto* const convolution = dynamic_cast<nn::Convolution*>(&module);
    if (convolution == nullptr) return;
    Random own = random.fork(number++);
    nn::init::kaiming_normal(convolution->weight().value, own,
                             {.nonlinearity = nn::init::Nonlinearity::relu});
    convolution->bias().value.fill(0);
  });
}

}  // namespace

std::unique_ptr<nn::Module> conv_stack(const Material& material,
                                       const std::vector<std::int64_t>& widths,
                                       const BehindConv& behind, std::uint64_t seed) {
  const Shape sample = material.sample();
  std::int64_t channels = sample[0], height = sample[1], width = sample[2];
  auto network = std::make_unique<nn::Sequential>();
  for (std::size_t i = 0; i < widths.size(); ++i) {
    network->add(nn::Conv2d(channels, widths[i], 3, {.padding = 1}));
    channels = widths[i];
    behind(*network, channels);
    network->add(nn::ReLU());
    if (i < 2 && std::min(height, width) >= 4) {
      network->add(nn::MaxPool2d(2));
      height /= 2;
      width /= 2;
    }
  }
  network->add(nn::Flatten());
  network->add(nn::Linear(channels * height * width, material.classes()));
  network->initialize(seed);
  draw_weights(*network, seed);
  return network;
}

BehindConv norm_behind(const std::string& word) {
  const model::NormChoice choice = model::parse_norm(word);
  return [choice](nn::Sequential& net, std::int64_t channels) {
    if (choice.none()) return;
    net.add(choice.kind->make({.features = channels, .spatial = true, .number = choice.number}));
  };
}

}  // namespace evenkeel::lab
