// Batch norm's own hyper-parameters, as the experiment on them varies them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lab/session.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// What is varied: its default, the values tried beside it, and those on either side of the default
/// that are compared with it.
struct Knob {
  std::string name;
  double usual;
  std::vector<double> values;
  double low, high;
};
enum KnobNumber : std::size_t { kEps, kMomentum, kGamma, kBeta };
using Knobs = std::array<Knob, 4>;  // by KnobNumber

/// With the values of the session's budget.
Knobs knobs_for(const Session& session);

/// A builder of a fully connected network, blocks of linear map, batch norm and ReLU, with one knob
/// at `value` in every batch norm and the others at their defaults.
std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> network_with(
    const Material& material, const std::vector<std::int64_t>& widths, std::size_t knob,
    double value);

}  // namespace evenkeel::lab
