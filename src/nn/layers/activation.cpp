#include <cmath>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/activation.h>

namespace evenkeel::nn {
namespace {

template <class Layer>
LayerRow row_of(std::string name, std::string help) {
  return {std::move(name),
          std::move(help),
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<Layer>(); },
          {{{}, {3, 4}}, {{}, {2, 3, 2, 3}}}};
}

}  // namespace

std::string_view name_of(ops::ActivationKind kind) {
  switch (kind) {
    case ops::ActivationKind::relu:
      return "relu";
    case ops::ActivationKind::leaky_relu:
      return "leaky_relu";
    case ops::ActivationKind::sigmoid:
      return "sigmoid";
    case ops::ActivationKind::tanh:
      break;
  }
  return "tanh";
}

Tensor Activation::forward(const Tensor& x) {
  if (absorbed_) return x;
  Tensor y = Tensor::like(x);
  ops::activation_forward(kind_, x, y, slope_);
  if (recording()) saved_.push(y);
  return y;
}

Tensor Activation::backward_in_place(Tensor dy) {
  if (absorbed_) return dy;
  const Tensor y = saved_.top(*this);
  const Tensor gradient = expect_gradient(*this, dy, y.shape(), y.dtype(), y.layout());
  dy = Tensor();
  Tensor dx = gradient.unique() ? gradient : Tensor::like(y);
  ops::activation_backward(kind_, y, gradient, dx, slope_);
  saved_.pop();
  return dx;
}

std::string Activation::fusion_note() const {
  return absorbed_ ? "fused into the layer before" : std::string();
}

LeakyReLU::LeakyReLU(double slope) : Cloneable(ops::ActivationKind::leaky_relu, slope) {
  if (!(slope > 0) || !std::isfinite(slope)) {
    fail<UsageError>("[LeakyReLU] expected a negative_slope above 0, got {}; use ReLU for 0",
                     slope);
  }
}

LayerRow relu_row() { return row_of<ReLU>("ReLU", "max(x, 0)"); }

LayerRow leaky_relu_row() {
  return {"LeakyReLU",
          "x where it is positive, else negative_slope times x: negative_slope",
          [](const Options& options) -> std::unique_ptr<Module> {
            return std::make_unique<LeakyReLU>(options.get("negative_slope", 0.01));
          },
          {{{}, {3, 4}}, {{{"negative_slope", 0.2}}, {2, 3, 2, 3}}}};
}

LayerRow sigmoid_row() { return row_of<Sigmoid>("Sigmoid", "1 / (1 + exp(-x))"); }

LayerRow tanh_row() { return row_of<Tanh>("Tanh", "the hyperbolic tangent"); }

}  // namespace evenkeel::nn
