// Root mean square normalization (Zhang and Sennrich, 2019).
#pragma once

#include <optional>

#include <evenkeel/nn/layers/trailing_norm.h>

namespace evenkeel::nn {

/// Changing them after construction has no effect.
struct RMSNormOptions {
  /// Empty, as in PyTorch: the distance from 1 to the next value of the input's dtype, 1.2e-7 for
  /// f32.
  std::optional<double> eps = std::nullopt;
  bool elementwise_affine = true;  ///< learn γ, one per element of normalized_shape
};

/// y = x/√(mean(x²)+ε)·γ over the last dimensions. Parameter: weight (γ), of normalized_shape.
class RMSNorm : public Cloneable<RMSNorm, TrailingNorm> {
 public:
  explicit RMSNorm(Shape normalized_shape, RMSNormOptions options = {});

  std::string_view type() const override { return "RMSNorm"; }
  Options options() const override;
};

}  // namespace evenkeel::nn
