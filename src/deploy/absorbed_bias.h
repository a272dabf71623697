// Biases that a batch norm directly behind their layer makes superfluous.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::deploy {

/// By the path of each layer without a bias: the batch norm that alone reads what it gives.
using NormsBehind = std::map<std::string, nn::BatchNorm*>;
NormsBehind norms_behind(nn::Module& network);

struct WithoutBiases {
  nn::StateDict state;
  std::vector<std::string> absorbed;  ///< names of the biases
};
/// The state without the biases in front of a batch norm that the network's layers do not have. In
/// eval mode (x + b − μ)·s = (x − (μ − b))·s: each is subtracted from the norm's running mean, in
/// double, where both fit; without running statistics the batch's own mean takes it away.
WithoutBiases without_biases(nn::Module& network, const nn::StateDict& state);

}  // namespace evenkeel::deploy
