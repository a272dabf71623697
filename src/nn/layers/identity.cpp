#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/identity.h>

namespace evenkeel::nn {

Tensor Identity::forward(const Tensor& x) {
  if (recording()) saved_.push(x.shape());
  return x;
}

Tensor Identity::backward(const Tensor& dy) {
  const Shape shape = saved_.pop(*this);
  if (dy.shape() != shape) {
    fail<ShapeError>("[{}] expected a gradient {} like the output, got {}", label(), shape.str(),
                     dy.shape().str());
  }
  return dy;
}

LayerRow identity_row() {
  return {"Identity",
          "nothing",
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<Identity>(); },
          {{{}, {3, 4}}}};
}

}  // namespace evenkeel::nn
