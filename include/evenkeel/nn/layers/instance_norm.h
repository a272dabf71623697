// Instance normalization (Ulyanov, Vedaldi and Lempitsky, 2016).
#pragma once

#include <evenkeel/nn/layers/saved_rows.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Changing them after construction has no effect. The defaults are PyTorch's: no parameters, no
/// running statistics.
struct InstanceNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;             ///< weight of the new value in the running averages
  bool affine = false;               ///< learn γ and β, one per channel
  bool track_running_stats = false;  ///< and normalize with the averages in eval mode
};

/// The common part of InstanceNorm1d, 2d and 3d: normalizes each channel of each sample. Input and
/// output [N, C, spatial...] or, for one sample, [C, spatial...], f32 with f32 parameters or f64
/// with f64 parameters, either layout. State as PyTorch names it: weight (γ), bias (β),
/// running_mean, running_var (f64 [C], the mean over the samples of their means and unbiased
/// variances) and num_batches_tracked, which PyTorch keeps and never counts up; here likewise.
class InstanceNorm : public Module {
 public:
  Options options() const override;
  std::string mode_note() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  void reset_parameters(Random& random) override;

  std::int64_t channels() const { return channels_; }
  const InstanceNormOptions& settings() const { return settings_; }

 protected:
  /// Throws UsageError for fewer than one channel, an eps below 0, a momentum outside [0, 1].
  InstanceNorm(std::int64_t channels, int spatial_rank, InstanceNormOptions options);
  InstanceNorm(const InstanceNorm& other) = default;
  InstanceNorm(InstanceNorm&&) = default;

 private:
  struct Saved {
    SavedRows rows;
    bool running = false;  ///< normalized with the running statistics
    Shape shape;           ///< of the input, as it came
    Layout layout = Layout::channels_first;
  };

  SavedBase* own_saved() override { return &saved_; }
  Tensor batched(const Tensor& x) const;
  Tensor forward_instances(const Tensor& x, SavedRows* saved);
  Tensor forward_running(const Tensor& x, SavedRows* saved);
  norm::Affine affine() const;

  std::int64_t channels_;
  int spatial_rank_;
  InstanceNormOptions settings_;
  Id weight_ = 0, bias_ = 0, mean_ = 0, var_ = 0;
  SavedStack<Saved> saved_;
};

/// [N, C, L] or [C, L].
class InstanceNorm1d : public Cloneable<InstanceNorm1d, InstanceNorm> {
 public:
  explicit InstanceNorm1d(std::int64_t channels, InstanceNormOptions options = {})
      : Cloneable(channels, 1, options) {}
  std::string_view type() const override { return "InstanceNorm1d"; }
};

/// [N, C, H, W] or [C, H, W].
class InstanceNorm2d : public Cloneable<InstanceNorm2d, InstanceNorm> {
 public:
  explicit InstanceNorm2d(std::int64_t channels, InstanceNormOptions options = {})
      : Cloneable(channels, 2, options) {}
  std::string_view type() const override { return "InstanceNorm2d"; }
};

/// [N, C, D, H, W] or [C, D, H, W].
class InstanceNorm3d : public Cloneable<InstanceNorm3d, InstanceNorm> {
 public:
  explicit InstanceNorm3d(std::int64_t channels, InstanceNormOptions options = {})
      : Cloneable(channels, 3, options) {}
  std::string_view type() const override { return "InstanceNorm3d"; }
};

}  // namespace evenkeel::nn
