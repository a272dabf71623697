// Stochastic gradient descent.
#pragma once

#include <evenkeel/optim/optimizer.h>

namespace evenkeel::optim {

struct SgdOptions {
  double momentum = 0.9;
  bool nesterov = false;
};

/// PyTorch's rule (dampening 0): g ← grad + weight_decay·p; v ← momentum·v + g (v = g at first);
/// p ← p − lr·(nesterov ? g + momentum·v : v). Arithmetic in the parameter's dtype. Without
/// momentum there is no state and p ← p − lr·g.
class Sgd : public Optimizer {
 public:
  /// Throws UsageError unless 0 ≤ momentum < 1, and for nesterov without momentum.
  explicit Sgd(std::vector<ParameterGroup> groups, SgdOptions options = {});
  std::string_view type() const override { return "sgd"; }

 private:
  void update(nn::Parameter& parameter, const Update& update) override;

  SgdOptions options_;
};

}  // namespace evenkeel::optim
