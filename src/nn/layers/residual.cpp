#include <array>

#include "nn/layers/checks.h"
#include "nn/layers/join.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/residual.h>

namespace evenkeel::nn {

Residual::Residual(std::unique_ptr<Module> body, std::unique_ptr<Module> shortcut,
                   std::optional<Kind> activation)
    : activation_(activation) {
  if (!body) fail<UsageError>("[Residual] expected a body, got a null pointer");
  if (activation == Kind::leaky_relu) {
    fail<UsageError>("[Residual] expected relu, sigmoid or tanh after the sum, got leaky_relu");
  }
  register_child("body", std::move(body));
  if (shortcut) register_child("shortcut", std::move(shortcut));
}

Module& Residual::shortcut() {
  if (!has_shortcut()) fail<UsageError>("[{}] the shortcut is the identity", label());
  return child(1);
}

Options Residual::options() const {
  return {{"activation", std::string(activation_ ? name_of(*activation_) : "none")}};
}

Shape Residual::output_shape(const Shape& input) const {
  const std::array shapes{child(0).output_shape(input),
                          has_shortcut() ? child(1).output_shape(input) : input};
  return sum_shape(*this, "body and shortcut", shapes);
}

std::vector<Shape> Residual::child_inputs(const Shape& input) const {
  return std::vector<Shape>(child_count(), input);
}

Tensor Residual::forward(const Tensor& x) {
  (void)output_shape(x.shape());
  const Tensor main = body().forward(x);
  const Tensor side = has_shortcut() ? shortcut().forward(x) : x;
  Tensor y = sum(main, side);
  if (activation_) {
    ops::activation_forward(*activation_, y, y);
    if (recording()) saved_.push(y);
  }
  return y;
}

Tensor Residual::backward(const Tensor& dy) {
  Tensor gradient = dy;  // of the sum
  if (activation_) {
    const Tensor y = saved_.pop(*this);
    gradient = Tensor::like(y);
    ops::activation_backward(
        *activation_, y, expect_gradient(*this, dy, y.shape(), y.dtype(), y.layout()), gradient);
  }
  Tensor main;
  Tensor side = gradient;
  if (body().needs_backward()) main = body().backward(gradient);
  if (has_shortcut()) {
    side = shortcut().needs_backward() ? shortcut().backward(gradient) : Tensor();
  }
  if (!needs_input_gradient()) return {};
  return sum_of_gradients(main, side);
}

void Residual::set_needs_input_gradient(bool on) {
  Module::set_needs_input_gradient(on);
  for (std::size_t i = 0; i < child_count(); ++i) child(i).set_needs_input_gradient(on);
}

}  // namespace evenkeel::nn
