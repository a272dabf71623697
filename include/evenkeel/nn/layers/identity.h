// The layer that does nothing.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// y = x, sharing its memory. Any tensor.
class Identity : public Cloneable<Identity> {
 public:
  std::string_view type() const override { return "Identity"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape shape;
    DType dtype;
  };
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
