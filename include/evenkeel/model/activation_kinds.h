// What stands behind the linear maps of a named network, by one word: "relu", "leaky_relu:0.1".
#pragma once

#include <string>

#include <evenkeel/nn/layers/activation.h>

namespace evenkeel::model {

struct ActivationChoice {
  ops::ActivationKind kind = ops::ActivationKind::relu;
  double slope = 0.01;  ///< of leaky_relu
};

/// From "auto" (as the networks were published: ReLU), "relu", "leaky_relu" or "leaky_relu:SLOPE".
/// Throws UsageError for another word, naming the nearest, and for a slope that is not between 0
/// and infinity.
ActivationChoice parse_activation(const std::string& text);

}  // namespace evenkeel::model
