// Layer normalization (Ba, Kiros and Hinton, 2016).
#pragma once

#include <evenkeel/nn/layers/trailing_norm.h>

namespace evenkeel::nn {

/// Changing them after construction has no effect.
struct LayerNormOptions {
  double eps = 1e-5;
  bool elementwise_affine = true;  ///< learn γ and β, one per element of normalized_shape
  bool bias = true;                ///< β as well; only with elementwise_affine
};

/// y = (x − μ)/√(σ²+ε)·γ + β with the mean and biased variance over the last dimensions. Parameters
/// as PyTorch names them: weight (γ) and bias (β), of normalized_shape.
class LayerNorm : public Cloneable<LayerNorm, TrailingNorm> {
 public:
  explicit LayerNorm(Shape normalized_shape, LayerNormOptions options = {});

  std::string_view type() const override { return "LayerNorm"; }
  Options options() const override;
};

}  // namespace evenkeel::nn
