// Batch normalization layers.
#pragma once

#include <evenkeel/nn/module.h>
#include <evenkeel/norm/batch_norm.h>

#include <optional>

namespace evenkeel::nn {

/// Options of a batch norm layer; changing them after construction has no effect.
struct BatchNormOptions {
  double eps = 1e-5;
  /// Weight of the new value in the running averages (PyTorch's convention); empty: cumulative average.
  std::optional<double> momentum = 0.1;
  /// The other convention, decay = 1 − momentum; where given it takes momentum's place.
  std::optional<double> decay = std::nullopt;
  bool affine = true;               ///< learn γ and β
  bool track_running_stats = true;  ///< without, eval mode normalizes with the batch's statistics too
  bool unbiased = true;             ///< fold σ²·m/(m−1) into running_var (PyTorch); false: σ² (ONNX, Keras)
  bool guard = false;               ///< refuse to fold non-finite batches into the running statistics
};

/// The common part of BatchNorm1d, 2d and 3d. State as PyTorch names it: weight (γ), bias (β),
/// running_mean, running_var (f64 [C]) and num_batches_tracked (i64 scalar). Input and output
/// [N, C, spatial...], f32 with f32 parameters or f64 with f64 parameters, either layout.
class BatchNorm : public Module {
 public:
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  void reset_parameters(Random& random) override;
  std::string fusion_note() const override;

  /// Holds the running statistics still: training mode then normalizes with them and backward treats
  /// them as constants; survives train(). With `affine_too` γ and β stop learning as well.
  void freeze(bool affine_too = false);
  void unfreeze();
  bool frozen() const { return frozen_; }

  std::int64_t channels() const { return channels_; }
  const BatchNormOptions& settings() const { return settings_; }
  /// How many training batches the guard has kept out of the running statistics so far.
  std::int64_t refused_batches() const { return refused_; }
  /// Switches the guard of an existing layer (the trainer switches it on).
  void set_guard(bool on) { settings_.guard = on; }
  /// Averages all following batches equally, as for recalibration: resets the running statistics and
  /// sets the momentum.
  void reset_running_stats();
  void set_momentum(std::optional<double> momentum);

  // For the fusion pass and containers.

  /// Appends an activation to the normalizing pass.
  void fuse_activation(norm::Activation activation, double slope);
  norm::Activation fused_activation() const { return activation_; }
  /// Lets the next forward add `other` before the activation; its gradient is taken after backward.
  void set_addend(Tensor other) { addend_ = std::move(other); }
  Tensor take_addend_gradient() { return std::move(addend_gradient_); }
  /// Whether a container gives every forward an addend; shown by fusion_note().
  void set_joined(bool on) { joined_ = on; }

 protected:
  BatchNorm(std::int64_t channels, int min_rank, int max_rank, BatchNormOptions options);
  BatchNorm(const BatchNorm& other) = default;
  BatchNorm(BatchNorm&&) = default;
  void clear_own_saved() override {
    saved_.clear();
    addend_ = {};
    addend_gradient_ = {};
  }

 private:
  struct Saved {
    Tensor x;
    std::shared_ptr<std::byte> memory;  ///< of the state
    std::size_t bytes = 0;
    bool batch_statistics = true;
    bool added = false;
    norm::Activation activation = norm::Activation::none;
  };

  void check(const Shape& input) const;
  norm::Affine affine() const;
  norm::Epilogue epilogue(const Tensor& addend) const;
  Tensor forward_batch(const Tensor& x, const Tensor& addend);
  Tensor forward_running(const Tensor& x, const Tensor& addend);

  std::int64_t channels_;
  int min_rank_, max_rank_;
  BatchNormOptions settings_;
  Id weight_ = 0, bias_ = 0, mean_ = 0, var_ = 0, batches_ = 0;
  bool frozen_ = false;
  std::int64_t refused_ = 0;
  norm::Activation activation_ = norm::Activation::none;
  double slope_ = 0.01;
  bool affine_frozen_ = false;
  bool joined_ = false;
  Tensor addend_, addend_gradient_;
  SavedStack<Saved> saved_;
};

/// [N, C] or [N, C, L].
class BatchNorm1d : public Cloneable<BatchNorm1d, BatchNorm> {
 public:
  explicit BatchNorm1d(std::int64_t channels, BatchNormOptions options = {})
      : Cloneable(channels, 2, 3, options) {}
  std::string_view type() const override { return "BatchNorm1d"; }
};

/// [N, C, H, W].
class BatchNorm2d : public Cloneable<BatchNorm2d, BatchNorm> {
 public:
  explicit BatchNorm2d(std::int64_t channels, BatchNormOptions options = {})
      : Cloneable(channels, 4, 4, options) {}
  std::string_view type() const override { return "BatchNorm2d"; }
};

/// [N, C, D, H, W].
class BatchNorm3d : public Cloneable<BatchNorm3d, BatchNorm> {
 public:
  explicit BatchNorm3d(std::int64_t channels, BatchNormOptions options = {})
      : Cloneable(channels, 5, 5, options) {}
  std::string_view type() const override { return "BatchNorm3d"; }
};

}  // namespace evenkeel::nn
