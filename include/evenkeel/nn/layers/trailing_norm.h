// Normalization over the trailing dimensions: what layer norm and RMS norm have in common.
#pragma once

#include <optional>

#include <evenkeel/nn/layers/saved_rows.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Input and output [*, normalized_shape...], f32 with f32 parameters or f64 with f64 parameters.
/// Every position of the leading dimensions is normalized by itself, in training and in eval mode
/// alike. Channels-last input is normalized where it lies if normalized_shape reaches from the
/// channels on
/// ([N, C, H, W] by [C, H, W]); otherwise its rows are strewn, and it is converted and back.
class TrailingNorm : public Module {
 public:
  /// Throws ShapeError naming the layer where the trailing dimensions are others.
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// γ = 1, β = 0.
  void reset_parameters(Random& random) override;

  const Shape& normalized_shape() const { return normalized_shape_; }

 protected:
  struct Settings {
    norm::Centre centre;
    std::optional<double>
        eps;  ///< without: the distance from 1 to the next value of the input's dtype
    bool weight, bias;
  };
  /// `type` is for the messages of the checks: UsageError for an empty shape, an eps below 0.
  TrailingNorm(std::string_view type, Shape normalized_shape, const Settings& settings);
  TrailingNorm(const TrailingNorm& other) = default;
  TrailingNorm(TrailingNorm&&) = default;

  const Settings& settings() const { return settings_; }

 private:
  struct Saved {
    SavedRows rows;
    Layout layout = Layout::channels_first;  ///< of the input, as it came
  };

  SavedBase* own_saved() override { return &saved_; }
  Tensor in_order_of(const Tensor& x, const Tensor& parameter) const;

  Shape normalized_shape_;
  Settings settings_;
  Id weight_ = 0, bias_ = 0;
  SavedStack<Saved> saved_;
};

}  // namespace evenkeel::nn
