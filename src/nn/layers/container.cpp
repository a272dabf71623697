#include <utility>

#include "nn/rollback.h"
#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {

Tensor Container::forward_in_place(Tensor x) {
  (void)output_shape(x.shape());
  Rollback rollback(*this);
  Tensor y = run_forward(std::move(x));
  rollback.keep();
  return y;
}

Tensor Container::backward_in_place(Tensor dy) {
  expect_forward();
  const std::size_t saved = Rollback::saved_in(*this);
  try {
    return run_backward(std::move(dy));
  } catch (...) {
    // Layers that have been taken back cannot be put back; the others would be left out of step.
    if (Rollback::saved_in(*this) != saved) clear_saved();
    throw;
  }
}

}  // namespace evenkeel::nn
