// Which parameters an optimizer updates, and how each group of them differs from the others.
#pragma once

#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::optim {

/// Parameters that share a weight decay and a factor on the learning rate.
struct ParameterGroup {
  std::vector<nn::NamedParameter> parameters;
  double weight_decay = 0;
  double lr_scale = 1;
};

/// Options of make_groups.
struct GroupOptions {
  double weight_decay = 0;
  bool decay_norm = false;  ///< weight decay on γ and β of normalization layers as well
  bool decay_bias = false;  ///< and on the biases of the other layers
};

/// All parameters of `module` in two groups: those with the weight decay and those without; a group
/// that would be empty is left out. Throws UsageError for a weight decay that is negative or not
/// finite.
std::vector<ParameterGroup> make_groups(nn::Module& module, const GroupOptions& options = {});

}  // namespace evenkeel::optim
