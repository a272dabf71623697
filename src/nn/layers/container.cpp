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

void Container::show_output(std::size_t i, const Tensor& y) const {
  if (const auto& told = child(i).watch().forward) told(y);
}

void Container::show_gradient(std::size_t i, const Tensor& dy) const {
  if (const auto& told = child(i).watch().backward) told(dy);
}

Tensor Container::forward_child(std::size_t i, Tensor x) {
  Tensor y = child(i).forward_in_place(std::move(x));
  show_output(i, y);
  return y;
}

Tensor Container::backward_child(std::size_t i, Tensor dy) {
  show_gradient(i, dy);
  return child(i).backward_in_place(std::move(dy));
}

void Container::replace(std::size_t i, std::unique_ptr<Module> layer) {
  if (!layer || i >= child_count()) {
    fail<UsageError>("[{}] expected a layer for one of {} places, got {} for place {}", label(),
                     child_count(), layer ? "one" : "a null pointer", i);
  }
  if (!child(i).fusion_note().empty()) {
    fail<StateError>("[{}] layer {} is fused ({}); replace layers before fuse()", label(), i,
                     child(i).fusion_note());
  }
  replace_child(i, std::move(layer));
  set_needs_input_gradient(needs_input_gradient());
}

}  // namespace evenkeel::nn
