#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/gelu.h>
#include <evenkeel/ops/gelu.h>

namespace evenkeel::nn {

Tensor GELU::forward(const Tensor& x) {
  Tensor y = Tensor::like(x);
  ops::gelu_forward(x, y);
  if (recording()) saved_.push(x);
  return y;
}

Tensor GELU::backward(const Tensor& dy) {
  const Tensor& x = saved_.top(*this);
  const Tensor gradient = expect_gradient(*this, dy, x.shape(), x.dtype(), x.layout());
  Tensor dx = Tensor::like(x);
  ops::gelu_backward(x, gradient, dx);
  saved_.pop();
  return dx;
}

LayerRow gelu_row() {
  return {"GELU",
          "x times the normal distribution at x",
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<GELU>(); },
          {{{}, {3, 5}}, {{}, {2, 3, 4}}}};
}

}  // namespace evenkeel::nn
