#include <array>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/join.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

/// The batch norm that computes the last value of `module`, if it is one.
BatchNorm* last_batch_norm(Module& module) {
  if (auto* sequence = dynamic_cast<Sequential*>(&module)) {
    return sequence->size() == 0 ? nullptr : last_batch_norm((*sequence)[sequence->size() - 1]);
  }
  return dynamic_cast<BatchNorm*>(&module);
}

}  // namespace

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

bool Residual::join() {
  BatchNorm* norm = last_batch_norm(body());
  const bool fits = !activation_ || *activation_ == Kind::relu;
  if (joined_ || norm == nullptr || !fits || !body().has_parameters() ||
      norm->fused_activation() != norm::Activation::none) {
    return false;
  }
  clear_saved();
  if (activation_) norm->fuse_activation(norm::Activation::relu, 0);
  norm->set_joined(true);
  joined_ = true;
  return true;
}

std::string Residual::fusion_note() const {
  return joined_ ? "sum and activation done by the body's last batch norm" : std::string();
}

Tensor Residual::run_forward(const Tensor& x) {
  if (joined_) {
    BatchNorm* norm = last_batch_norm(body());
    if (norm == nullptr) {
      fail<StateError>("[{}] the body has changed since it was fused; fuse after building",
                       label());
    }
    norm->set_addend(has_shortcut() ? shortcut().forward(x) : x);
    return body().forward(x);
  }
  const Tensor main = body().forward(x);
  const Tensor side = has_shortcut() ? shortcut().forward(x) : x;
  Tensor y = sum(main, side);
  if (activation_) {
    ops::activation_forward(*activation_, y, y);
    if (recording()) saved_.push(y);
  }
  return y;
}

void Residual::expect_forward() {
  Module::expect_forward();
  for (std::size_t i = 0; i < child_count(); ++i) {
    if (child(i).needs_backward()) child(i).expect_forward();
  }
}

Tensor Residual::run_backward(Tensor dy) {
  Tensor gradient;  // of the sum
  Tensor main;
  if (joined_) {
    main = body().backward_in_place(std::move(dy));
    gradient = last_batch_norm(body())->take_addend_gradient();
  } else if (activation_) {
    const Tensor y = saved_.top(*this);
    const Tensor given = expect_gradient(*this, dy, y.shape(), y.dtype(), y.layout());
    dy = Tensor();
    gradient = given.unique() ? given : Tensor::like(y);
    ops::activation_backward(*activation_, y, given, gradient);
  } else {
    gradient = std::move(dy);
  }
  if (!joined_ && body().needs_backward()) main = body().backward(gradient);
  Tensor side;
  if (!has_shortcut()) {
    side = std::move(gradient);
  } else if (shortcut().needs_backward()) {
    side = shortcut().backward_in_place(std::move(gradient));
  }
  Tensor dx =
      needs_input_gradient() ? sum_of_gradients(std::move(main), std::move(side)) : Tensor();
  if (!joined_ && activation_) saved_.pop();
  return dx;
}

void Residual::set_needs_input_gradient(bool on) {
  Module::set_needs_input_gradient(on);
  for (std::size_t i = 0; i < child_count(); ++i) child(i).set_needs_input_gradient(on);
}

}  // namespace evenkeel::nn
