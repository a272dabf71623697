// Group normalization (Wu and He, 2018).
#pragma once

#include <evenkeel/nn/layers/saved_rows.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Changing them after construction has no effect.
struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;  ///< learn γ and β, one per channel
};

/// Normalizes each group of num_channels/num_groups neighbouring channels of each sample, in
/// training and in eval mode alike. Input and output [N, num_channels, spatial...], f32 with f32
/// parameters or f64 with f64 parameters, either layout. Parameters: weight (γ) and bias (β),
/// [num_channels]. One value per group in a batch of one is an error, as in PyTorch; in larger
/// batches it gives β.
class GroupNorm : public Cloneable<GroupNorm> {
 public:
  /// Throws UsageError unless num_groups divides num_channels, and for an eps below 0.
  GroupNorm(std::int64_t num_groups, std::int64_t num_channels, GroupNormOptions options = {});

  std::string_view type() const override { return "GroupNorm"; }
  Options options() const override;
  std::string mode_note() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// γ = 1, β = 0.
  void reset_parameters(Random& random) override;

  std::int64_t groups() const { return groups_; }
  std::int64_t channels() const { return channels_; }

 private:
  SavedBase* own_saved() override { return &saved_; }

  std::int64_t groups_, channels_;
  GroupNormOptions settings_;
  Id weight_ = 0, bias_ = 0;
  SavedStack<SavedRows> saved_;
};

}  // namespace evenkeel::nn
