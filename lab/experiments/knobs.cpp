#include "lab/experiments/knobs.h"

#include "lab/small_nets.h"
#include <evenkeel/nn/layers/activation.h>

namespace evenkeel::lab {

Knobs knobs_for(const Session& session) {
  const auto values = [&](const std::vector<double>& quick, const std::vector<double>& full,
                          const std::vector<double>& trial) {
    return session.pick(quick, full, trial);
  };
  return {
      {{"ε", 1e-5,
        values({1e-8, 1e-6, 1e-4, 1e-2, 1}, {1e-8, 1e-7, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1, 10},
               {1e-6, 1e-4}),
        1e-6, 1e-4},
       {"momentum", 0.1,
        values({1e-3, 1e-2, 1}, {1e-4, 1e-3, 3e-3, 1e-2, 0.03, 0.3, 0.5, 1}, {1e-2, 1}), 1e-2, 1},
       {"initial γ", 1,
        values({0.1, 0.3, 3, 10}, {0.01, 0.03, 0.1, 0.3, 0.5, 2, 3, 10, 30}, {0.1, 10}), 0.1, 10},
       {"initial β", 0, values({-3, -1, 1, 3}, {-10, -3, -1, -0.3, 0.3, 1, 3, 10}, {-1, 1}), -1,
        1}}};
}

std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> network_with(
    const Material& material, const std::vector<std::int64_t>& widths, std::size_t knob,
    double value) {
  nn::BatchNormOptions options;
  if (knob == kEps) options.eps = value;
  if (knob == kMomentum) options.momentum = value;
  const SmallNet net{.widths = widths,
                     .bias = false,
                     .tail = [options](nn::Sequential& network, const Place& place) {
                       network.add(make_batch_norm(place, options));
                       network.add(nn::ReLU());
                     }};
  return [build = builder(material, net), knob, value](std::uint64_t seed) {
    auto network = build(seed);
    for (const auto& [name, parameter] : network->parameters()) {
      const bool scale = parameter->kind == nn::ParameterKind::norm_scale;
      const bool shift = parameter->kind == nn::ParameterKind::norm_shift;
      if ((scale && knob == kGamma) || (shift && knob == kBeta)) parameter->value.fill(value);
    }
    return network;
  };
}

}  // namespace evenkeel::lab
