// How long each parameter's gradient is.
#pragma once

#include <string>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::train {

/// Of one parameter, its gradient and itself.
struct GradientNorm {
  std::string name;     ///< as in the state dict, "0.weight"
  double gradient = 0;  ///< √Σg²
  double weight = 0;    ///< √Σw²
};

/// Of all parameters, after a backward; summed in double, the same bits for any number of threads.
std::vector<GradientNorm> gradient_norms(nn::Module& network);

}  // namespace evenkeel::train
