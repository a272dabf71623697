// Adam with decoupled weight decay.
#pragma once

#include <evenkeel/optim/optimizer.h>

namespace evenkeel::optim {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
};

/// Loshchilov and Hutter 2019 (https://arxiv.org/abs/1711.05101, algorithm 2), in PyTorch's form:
/// p ← (1 − lr·weight_decay)·p; m ← m + (1 − β₁)(g − m); v ← β₂·v + (1 − β₂)·g²;
/// p ← p − lr/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps). Arithmetic in the parameter's dtype, the
/// factors in double. Slots: "mean" (m) and "square" (v).
class AdamW : public Optimizer {
 public:
  /// Throws UsageError unless 0 ≤ β < 1 and eps > 0.
  explicit AdamW(std::vector<ParameterGroup> groups, AdamWOptions options = {});
  std::string_view type() const override { return "adamw"; }

 private:
  void update(nn::Parameter& parameter, const Update& update) override;

  AdamWOptions options_;
};

}  // namespace evenkeel::optim
