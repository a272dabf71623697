#include "nn/layers/checks.h"
#include "nn/layers/join.h"
#include <evenkeel/nn/layers/concat.h>

namespace evenkeel::nn {

Concat& Concat::add(std::unique_ptr<Module> branch) {
  if (!branch) fail<UsageError>("[{}] expected a branch to add, got a null pointer", label());
  register_child(std::to_string(size()), std::move(branch))
      .set_needs_input_gradient(needs_input_gradient());
  return *this;
}

Shape Concat::output_shape(const Shape& input) const {
  if (size() == 0) fail<UsageError>("[{}] expected at least one branch; add one", label());
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < size(); ++i) shapes.push_back(child(i).output_shape(input));
  return concat_shape(*this, "branches that give", shapes);
}

std::vector<Shape> Concat::child_inputs(const Shape& input) const {
  return std::vector<Shape>(size(), input);
}

Tensor Concat::run_forward(Tensor x) {
  const Shape shape = output_shape(x.shape());
  std::vector<Tensor> parts;
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < size(); ++i) {
    const bool last = i + 1 == size();
    parts.push_back(last ? forward_child(i, std::move(x)) : forward_child(i, x));
    shapes.push_back(parts.back().shape());
  }
  Tensor y = concat(shape, std::move(parts));
  if (recording()) saved_.push({std::move(shapes), y.dtype()});
  return y;
}

void Concat::expect_forward() {
  Module::expect_forward();
  for (std::size_t i = 0; i < size(); ++i) {
    if (child(i).needs_backward()) child(i).expect_forward();
  }
}

Tensor Concat::run_backward(Tensor dy) {
  const auto& [shapes, dtype] = saved_.top(*this);
  Tensor gradient = expect_gradient(*this, dy, concat_shape(*this, "branches that give", shapes),
                                    dtype, dy.layout());
  dy = Tensor();
  std::vector<Tensor> parts = split(gradient, shapes);
  gradient = Tensor();
  Tensor dx;
  for (std::size_t i = size(); i-- > 0;) {
    if (!child(i).needs_backward()) continue;
    dx = sum_of_gradients(std::move(dx), backward_child(i, std::move(parts[i])));
  }
  saved_.pop();
  return needs_input_gradient() ? dx : Tensor();
}

void Concat::set_needs_input_gradient(bool on) {
  Module::set_needs_input_gradient(on);
  for (std::size_t i = 0; i < size(); ++i) child(i).set_needs_input_gradient(on);
}

}  // namespace evenkeel::nn
