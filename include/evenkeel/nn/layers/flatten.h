// From maps of features to rows of features.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// x [N, C, spatial...] → y [N, C·spatial], any dtype. The features come in the logical order C, H,
/// W whatever the layout of x, so that weights behind it mean the same for both layouts; y shares
/// x's memory where x is channels first. backward gives dx in x's layout.
class Flatten : public Cloneable<Flatten> {
 public:
  std::string_view type() const override { return "Flatten"; }
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
  };
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
