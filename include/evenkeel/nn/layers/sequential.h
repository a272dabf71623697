// Layers one after the other.
#pragma once

#include <evenkeel/nn/layers/container.h>

namespace evenkeel::nn {

/// Each child gets the output of the one before. The children are called "0", "1", … An empty one
/// hands its input through.
///
///     Sequential net{Linear(784, 256), BatchNorm1d(256), ReLU(), Linear(256, 10)};
class Sequential : public Cloneable<Sequential, Container> {
 public:
  Sequential() = default;
  template <class... Layers>
  requires ChildrenOf<Sequential, Layers...>
  explicit Sequential(Layers&&... layers) { (add(to_owned(std::forward<Layers>(layers))), ...); }

  /// Appends. Throws UsageError for a null pointer.
  Sequential& add(std::unique_ptr<Module> layer);
  template <Layer T>
  Sequential& add(T&& layer) {
    return add(to_owned(std::forward<T>(layer)));
  }
  std::size_t size() const { return child_count(); }
  Module& operator[](std::size_t i) { return child(i); }

  std::string_view type() const override { return "Sequential"; }
  Shape output_shape(const Shape& input) const override;
  std::vector<Shape> child_inputs(const Shape& input) const override;
  void expect_forward() override;
  void set_needs_input_gradient(bool on) override;

 protected:
  Tensor run_forward(Tensor x) override;
  Tensor run_backward(Tensor dy) override;
};

}  // namespace evenkeel::nn
