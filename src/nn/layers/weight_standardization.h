// Weights with mean 0 and variance 1 per output channel (Qiao et al., 2019), on the row operators.
#pragma once

#include <memory>

#include <evenkeel/core/tensor.h>
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::nn {

/// Ŵ = (W − μ)/√(σ² + ε) of a weight [out, ...], with μ and σ² (biased) over each output channel.
class StandardizedWeight {
 public:
  /// All memory that accumulate() needs is asked for here.
  StandardizedWeight(const Tensor& weight, double eps);

  const Tensor& value() const { return value_; }
  /// Adds to `gradient` what the gradient of Ŵ, which is overwritten, is in terms of W.
  void accumulate(Tensor& gradient_of_value, Tensor& gradient);

 private:
  Tensor weight_, value_;
  std::shared_ptr<std::byte> memory_;
  norm::RowNormState state_;
  std::span<std::byte> workspace_;
};

}  // namespace evenkeel::nn
