// From a sequence to one row of features, by the valid steps alone.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// The mean over the valid steps: x [N, C, T] in either layout → y [N, C]. A sequence without any
/// gives zeros. Padding gets a gradient of zero.
class MeanOverTime : public Cloneable<MeanOverTime> {
 public:
  std::string_view type() const override { return "MeanOverTime"; }
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
    std::vector<std::int64_t> valid;
  };
  SavedBase* own_saved() override { return &saved_; }

  SavedStack<Saved> saved_;
};

/// Changing them later has no effect: the layer copies them.
struct LastStepOptions {
  /// x is of a bidirectional layer: the last step of the forward direction's channels, the first
  /// half, and the first step of the others, which is where the backward direction ends.
  bool bidirectional = false;
};

/// The last valid step: x [N, C, T] in either layout → y [N, C]. A sequence without any gives
/// zeros.
class LastStep : public Cloneable<LastStep> {
 public:
  explicit LastStep(LastStepOptions options = {}) : options_(options) {}

  std::string_view type() const override { return "LastStep"; }
  Options options() const override { return {{"bidirectional", options_.bidirectional}}; }
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

 private:
  struct Saved {
    Shape input;
    DType dtype;
    Layout layout;
    std::vector<std::int64_t> valid;
  };
  SavedBase* own_saved() override { return &saved_; }

  LastStepOptions options_;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
