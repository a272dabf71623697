// Functions of each element that networks from elsewhere are made of.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// y of x's shape, f32, f64 or bf16, any layout; each element is computed in double. Keeps x for
/// backward.
class Pointwise : public Module {
 public:
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 protected:
  virtual double value(double x) const = 0;
  virtual double derivative(double x) const = 0;

 private:
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Tensor> saved_;  // x
};

/// x to the power of `exponent`: 0.5 is the square root, −1 the inverse. NaN where that is no real
/// number.
class Power : public Cloneable<Power, Pointwise> {
 public:
  explicit Power(double exponent) : exponent_(exponent) {}
  std::string_view type() const override { return "Power"; }
  Options options() const override { return {{"exponent", exponent_}}; }
  double exponent() const { return exponent_; }

 protected:
  double value(double x) const override;
  double derivative(double x) const override;

 private:
  double exponent_;
};

/// The error function, of which GELU is made.
class Erf : public Cloneable<Erf, Pointwise> {
 public:
  std::string_view type() const override { return "Erf"; }

 protected:
  double value(double x) const override;
  double derivative(double x) const override;
};

}  // namespace evenkeel::nn
