// The fully connected layer.
#pragma once

#include <cstdint>

#include <evenkeel/nn/kept.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
struct LinearOptions {
  bool bias = true;
};

/// y = x·Wᵀ + b: x [N, in_features] → y [N, out_features], f32 or f64 like the parameters (bf16:
/// Module). Parameters: weight [out_features, in_features], bias [out_features]. An input of
/// another rank is an error; Flatten comes before.
class Linear : public Cloneable<Linear> {
 public:
  /// Throws UsageError for sizes below 1.
  Linear(std::int64_t in_features, std::int64_t out_features, LinearOptions options = {});

  std::string_view type() const override { return "Linear"; }
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// PyTorch's: weight and bias from U(±1/√in_features).
  void reset_parameters(Random& random) override;

  std::int64_t in_features() const { return in_; }
  std::int64_t out_features() const { return out_; }
  bool has_bias() const { return options_.bias; }
  Parameter& weight() { return parameter(0); }
  /// Throws UsageError where the layer has none.
  Parameter& bias();

 private:
  SavedBase* own_saved() override { return &saved_; }

  std::int64_t in_;
  std::int64_t out_;
  LinearOptions options_;
  SavedStack<Kept> saved_;  // x
};

}  // namespace evenkeel::nn
