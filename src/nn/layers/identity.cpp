#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/identity.h>

namespace evenkeel::nn {

Tensor Identity::forward(const Tensor& x) {
  if (recording()) saved_.push({x.shape(), x.dtype()});
  return x;
}

Tensor Identity::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor dx = expect_gradient(*this, dy, saved.shape, saved.dtype, dy.layout());
  saved_.pop();
  return dx;
}

LayerRow identity_row() {
  return {"Identity",
          "nothing",
          [](const Options&) -> std::unique_ptr<Module> { return std::make_unique<Identity>(); },
          {{{}, {3, 4}}}};
}

}  // namespace evenkeel::nn
