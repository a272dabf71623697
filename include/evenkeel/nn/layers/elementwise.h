// A weight that meets every element: products and sums with what does not depend on the input.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
struct ElementwiseOptions {
  bool learned = true;  ///< a parameter; else a buffer, which training leaves alone
};

/// What Scale and Shift share. The weight's shape is aligned to the last dimensions of x, each
/// extent that of x or 1, which repeats: [C, 1, 1] holds one value per channel of [N, C, H, W]. y
/// of x's shape and layout, f32, f64 or bf16. State: weight.
class Elementwise : public Module {
 public:
  Options options() const override;
  /// Throws ShapeError where the weight does not fit.
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// Weights that change nothing.
  void reset_parameters(Random& random) override;

  bool learned() const { return options_.learned; }
  /// Shared with the layer.
  Tensor weight() const;

 protected:
  enum class Operation : std::uint8_t { product, sum };
  Elementwise(Operation operation, const Shape& shape, ElementwiseOptions options);

 private:
  struct Saved {
    Tensor x;  // of products, channels first
    Shape shape;
    DType dtype;
    Layout layout;
  };
  SavedBase* own_saved() override { return &saved_; }
  Tensor weight_like(DType dtype) const;

  Operation operation_;
  ElementwiseOptions options_;
  SavedStack<Saved> saved_;
};

/// y = x·weight.
class Scale : public Cloneable<Scale, Elementwise> {
 public:
  explicit Scale(const Shape& shape, ElementwiseOptions options = {})
      : Cloneable(Operation::product, shape, options) {}
  std::string_view type() const override { return "Scale"; }
};

/// y = x + weight.
class Shift : public Cloneable<Shift, Elementwise> {
 public:
  explicit Shift(const Shape& shape, ElementwiseOptions options = {})
      : Cloneable(Operation::sum, shape, options) {}
  std::string_view type() const override { return "Shift"; }
};

}  // namespace evenkeel::nn
