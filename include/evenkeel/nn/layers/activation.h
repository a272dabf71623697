// Elementwise activation layers.
#pragma once

#include <evenkeel/nn/module.h>
#include <evenkeel/ops/activation.h>

namespace evenkeel::nn {

/// "relu", "leaky_relu", "sigmoid", "tanh": as options spell them.
std::string_view name_of(ops::ActivationKind kind);

/// What the activation layers share: y of x's shape, f32, f64 or bf16, any layout. Keeps y alone
/// for backward. Where the layer before computes the activation itself (the fusion pass arranges
/// it), the layer is absorbed and hands its argument through, forward and backward.
class Activation : public Module {
 public:
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override { return backward_in_place(dy); }
  Tensor backward_in_place(Tensor dy) override;
  std::string fusion_note() const override;

  ops::ActivationKind kind() const { return kind_; }
  /// The factor for negative x; leaky_relu's alone has an effect.
  double slope() const { return slope_; }
  /// Forgets what was saved for backward.
  void set_absorbed(bool on) {
    saved_.shrink(0);
    absorbed_ = on;
  }
  bool absorbed() const { return absorbed_; }

 protected:
  explicit Activation(ops::ActivationKind kind, double slope = 0) : kind_(kind), slope_(slope) {}

 private:
  SavedBase* own_saved() override { return absorbed_ ? nullptr : &saved_; }

  ops::ActivationKind kind_;
  double slope_;
  bool absorbed_ = false;
  SavedStack<Tensor> saved_;  // y
};

/// max(x, 0); its derivative at 0 is 0.
class ReLU : public Cloneable<ReLU, Activation> {
 public:
  ReLU() : Cloneable(ops::ActivationKind::relu) {}
  std::string_view type() const override { return "ReLU"; }
};

/// x for x > 0, else slope·x. Throws UsageError unless 0 < slope < ∞ (backward takes the sign of x
/// from the output).
class LeakyReLU : public Cloneable<LeakyReLU, Activation> {
 public:
  explicit LeakyReLU(double slope = 0.01);
  std::string_view type() const override { return "LeakyReLU"; }
  Options options() const override { return {{"negative_slope", slope()}}; }
};

/// 1 / (1 + exp(−x)).
class Sigmoid : public Cloneable<Sigmoid, Activation> {
 public:
  Sigmoid() : Cloneable(ops::ActivationKind::sigmoid) {}
  std::string_view type() const override { return "Sigmoid"; }
};

class Tanh : public Cloneable<Tanh, Activation> {
 public:
  Tanh() : Cloneable(ops::ActivationKind::tanh) {}
  std::string_view type() const override { return "Tanh"; }
};

}  // namespace evenkeel::nn
