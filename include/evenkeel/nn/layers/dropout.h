// Dropout.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// In training, y = x·mask/(1−p) with each mask element 0 with probability p; in eval mode y = x.
/// Any shape and layout, f32, f64 or bf16. The masks come from a random stream of the layer's own,
/// whose place is the buffer random_state (i64 [3]: seed, stream, position; not exported), so that
/// a run resumed from a checkpoint goes on with the masks it would have had.
class Dropout : public Cloneable<Dropout> {
 public:
  /// Throws UsageError unless 0 ≤ p < 1.
  explicit Dropout(double p = 0.5);

  std::string_view type() const override { return "Dropout"; }
  Options options() const override { return {{"p", p_}}; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// A new stream made from `random`'s.
  void reset_parameters(Random& random) override;

  double p() const { return p_; }

 private:
  struct Saved {
    Shape shape;
    DType dtype;
    Layout layout;
    Tensor mask;  // undefined where y is x
  };
  SavedBase* own_saved() override { return &saved_; }

  double p_;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
