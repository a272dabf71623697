// What layers that only move or sum elements share.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// y of output_shape() for x of f32, f64 or bf16, in x's layout; linear and without state. Layers
/// say what goes where, in channels-first tensors.
class Rearrangement : public Module {
 public:
  Tensor forward(const Tensor& x) final;
  Tensor backward(const Tensor& dy) final;

 protected:
  /// Overwrites y, or makes it share x's memory.
  virtual void move(const Tensor& x, Tensor& y) const = 0;
  virtual void move_back(const Tensor& dy, Tensor& dx) const = 0;

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
