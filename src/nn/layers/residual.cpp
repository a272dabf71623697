#include <array>
#include <cmath>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/join.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/folded_conv.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

constexpr std::size_t kBody = 0;
constexpr std::size_t kShortcut = 1;

/// The layer that computes the last value of `module`: what stands behind it hands that through.
Module* last_layer(Module& module) {
  auto* const sequence = dynamic_cast<Sequential*>(&module);
  if (sequence == nullptr) return &module;
  for (std::size_t i = sequence->size(); i-- > 0;) {
    if (dynamic_cast<Identity*>(&(*sequence)[i]) == nullptr) return last_layer((*sequence)[i]);
  }
  return nullptr;
}

BatchNorm* last_batch_norm(Module& module) { return dynamic_cast<BatchNorm*>(last_layer(module)); }

}  // namespace

Residual::Residual(std::unique_ptr<Module> body, std::unique_ptr<Module> shortcut,
                   std::optional<Kind> activation, double slope)
    : activation_(activation), slope_(slope) {
  if (!body) fail<UsageError>("[Residual] expected a body, got a null pointer");
  if (activation == Kind::leaky_relu && (!(slope > 0) || !std::isfinite(slope))) {
    fail<UsageError>("[Residual] expected a negative_slope above 0, got {}; use relu for 0", slope);
  }
  register_child("body", std::move(body));
  if (shortcut) register_child("shortcut", std::move(shortcut));
}

Module& Residual::shortcut() {
  if (!has_shortcut()) fail<UsageError>("[{}] the shortcut is the identity", label());
  return child(1);
}

Options Residual::options() const {
  Options result{{"activation", std::string(activation_ ? name_of(*activation_) : "none")}};
  if (activation_ == Kind::leaky_relu) result.set("negative_slope", slope_);
  return result;
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
  const bool fits = !activation_ || *activation_ == Kind::relu || *activation_ == Kind::leaky_relu;
  if (joined_ || !fits) return false;
  if (auto* conv = dynamic_cast<FoldedConv*>(last_layer(body()))) {
    if (conv->conv().activation()) return false;
    if (activation_) conv->set_activation({*activation_, slope_});
    conv->set_joined(true);
    joined_ = true;
    return true;
  }
  BatchNorm* norm = last_batch_norm(body());
  if (norm == nullptr || !body().has_parameters() ||
      norm->fused_activation() != norm::Activation::none) {
    return false;
  }
  clear_saved();
  if (activation_) {
    norm->fuse_activation(
        activation_ == Kind::relu ? norm::Activation::relu : norm::Activation::leaky_relu, slope_);
  }
  norm->set_joined(true);
  joined_ = true;
  return true;
}

void Residual::separate() {
  if (!joined_ || dynamic_cast<FoldedConv*>(last_layer(body())) != nullptr) return;
  clear_saved();
  joined_ = false;
  if (BatchNorm* norm = last_batch_norm(body())) {
    norm->fuse_activation(norm::Activation::none, 0);
    norm->set_joined(false);
  }
}

std::string Residual::fusion_note() const {
  return joined_ ? "sum and activation done by the body's last layer" : std::string();
}

Tensor Residual::run_forward(Tensor x) {
  if (joined_) {
    auto* const last = dynamic_cast<TakesAddend*>(last_layer(body()));
    if (last == nullptr) {
      fail<StateError>("[{}] the body has changed since it was fused; fuse after building",
                       label());
    }
    last->set_addend(has_shortcut() ? forward_child(kShortcut, x) : x);
    return forward_child(kBody, std::move(x));
  }
  const Tensor main = forward_child(kBody, x);
  const Tensor side = has_shortcut() ? forward_child(kShortcut, std::move(x)) : std::move(x);
  Tensor y = sum(main, side);
  if (activation_) {
    ops::activation_forward(*activation_, y, y, slope_);
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
    main = backward_child(kBody, std::move(dy));
    gradient = last_batch_norm(body())->take_addend_gradient();
  } else if (activation_) {
    const Tensor y = saved_.top(*this);
    const Tensor given = expect_gradient(*this, dy, y.shape(), y.dtype(), y.layout());
    dy = Tensor();
    gradient = given.unique() ? given : Tensor::like(y);
    ops::activation_backward(*activation_, y, given, gradient, slope_);
  } else {
    gradient = std::move(dy);
  }
  if (!joined_ && body().needs_backward()) main = backward_child(kBody, gradient);
  Tensor side;
  if (!has_shortcut()) {
    side = std::move(gradient);
  } else if (shortcut().needs_backward()) {
    side = backward_child(kShortcut, std::move(gradient));
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
