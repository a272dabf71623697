// Values within bounds.
#pragma once

#include <limits>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
struct ClipOptions {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};

/// min(max(x, min), max), NaN staying NaN: y of x's shape, f32, f64 or bf16, any layout. The
/// derivative is 0 at the bounds and beyond, as of PyTorch's Hardtanh and ReLU6, which is
/// Clip({.min = 0, .max = 6}).
class Clip : public Cloneable<Clip> {
 public:
  /// Throws UsageError unless min < max.
  explicit Clip(ClipOptions options = {});

  std::string_view type() const override { return "Clip"; }
  Options options() const override { return {{"min", options_.min}, {"max", options_.max}}; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

  const ClipOptions& settings() const { return options_; }

 private:
  SavedBase* own_saved() override { return &saved_; }

  ClipOptions options_;
  SavedStack<Tensor> saved_;  // y
};

}  // namespace evenkeel::nn
