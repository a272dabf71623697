// Zeros behind the end of padded sequences.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// y = x [N, C, T] with zeros at the steps beyond the lengths (set_lengths), as layers over sequences
/// leave them; without lengths, and where x has another rank, y = x, sharing its memory. f32, f64 or
/// bf16, either layout. It stands where fold_norms() took a batch norm of sequences away.
class ValidSteps : public Cloneable<ValidSteps> {
 public:
  std::string_view type() const override { return "ValidSteps"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape shape;
    DType dtype;
    std::vector<std::int64_t> valid;  // empty: all of them
  };
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
