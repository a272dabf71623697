#include <utility>

#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {

Sequential& Sequential::add(std::unique_ptr<Module> layer) {
  if (!layer) fail<UsageError>("[{}] expected a layer to add, got a null pointer", label());
  register_child(std::to_string(size()), std::move(layer));
  set_needs_input_gradient(needs_input_gradient());
  return *this;
}

Shape Sequential::output_shape(const Shape& input) const {
  Shape shape = input;
  for (std::size_t i = 0; i < size(); ++i) shape = child(i).output_shape(shape);
  return shape;
}

std::vector<Shape> Sequential::child_inputs(const Shape& input) const {
  std::vector<Shape> result;
  Shape shape = input;
  for (std::size_t i = 0; i < size(); ++i) {
    result.push_back(shape);
    shape = child(i).output_shape(shape);
  }
  return result;
}

Tensor Sequential::run_forward(Tensor x) {
  Tensor y = std::move(x);
  for (std::size_t i = 0; i < size(); ++i) y = forward_child(i, std::move(y));
  return y;
}

void Sequential::expect_forward() {
  for (std::size_t i = size(); i-- > 0 && child(i).needs_backward();) child(i).expect_forward();
}

Tensor Sequential::run_backward(Tensor dy) {
  Tensor gradient = std::move(dy);
  for (std::size_t i = size(); i-- > 0;) {
    // From here to the front there is no parameter and nobody asks for a gradient.
    if (!child(i).needs_backward()) return {};
    gradient = backward_child(i, std::move(gradient));
  }
  return gradient;
}

void Sequential::set_needs_input_gradient(bool on) {
  Module::set_needs_input_gradient(on);
  bool needed = on;
  for (std::size_t i = 0; i < size(); ++i) {
    child(i).set_needs_input_gradient(needed);
    needed = needed || child(i).has_parameters();
  }
}

}  // namespace evenkeel::nn
