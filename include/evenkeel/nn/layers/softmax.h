// Softmax as a layer.
#pragma once

#include <cstdint>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// exp(x − max)/Σ exp(x − max) over one dimension, or over all from it on: y of x's shape, f32 or
/// f64, any layout. Losses want logits: training ends before it.
class Softmax : public Cloneable<Softmax> {
 public:
  /// A negative dim counts from the end. With `to_end`, all dimensions from dim on are one.
  explicit Softmax(std::int64_t dim = -1, bool to_end = false) : dim_(dim), to_end_(to_end) {}

  std::string_view type() const override { return "Softmax"; }
  Options options() const override { return {{"dim", dim_}, {"to_end", to_end_}}; }
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

  std::int64_t dim() const { return dim_; }
  bool to_end() const { return to_end_; }

 private:
  struct Saved {
    Tensor y;  // channels first
    Layout layout;
  };
  SavedBase* own_saved() override { return &saved_; }

  std::int64_t dim_;
  bool to_end_;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
