// From maps of features to rows of features.
#pragma once

#include <cstdint>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
struct FlattenOptions {
  std::int64_t start_dim = 1;  ///< the first dimension that is joined: 1 or 2
};

/// start_dim 1: x [N, C, spatial...] → y [N, C·spatial], any dtype. The features come in the
/// logical order C, H, W whatever the layout of x, so that weights behind it mean the same for both
/// layouts; y shares x's memory where x is channels first. backward gives dx in x's layout.
///
/// start_dim 2: x [N, C, spatial...] → y [N, C, positions], a sequence, in x's layout and memory.
class Flatten : public Cloneable<Flatten> {
 public:
  /// Throws UsageError for another start_dim.
  explicit Flatten(FlattenOptions options = {});

  std::string_view type() const override { return "Flatten"; }
  Options options() const override { return {{"start_dim", options_.start_dim}}; }
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
  };
  SavedBase* own_saved() override { return &saved_; }
  bool to_rows() const { return options_.start_dim == 1; }

  FlattenOptions options_;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
