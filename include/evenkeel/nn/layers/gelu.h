// The Gaussian error linear unit as a layer.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// x·Φ(x), as PyTorch's GELU without approximation: y of x's shape, f32, f64 or bf16, any layout.
class GELU : public Cloneable<GELU> {
 public:
  std::string_view type() const override { return "GELU"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Tensor> saved_;  // x
};

}  // namespace evenkeel::nn
