// Batch normalization layers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <evenkeel/nn/layers/addend.h>
#include <evenkeel/nn/memory.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::nn {

class SequenceRows;

/// What a layer holds still in training: its running statistics, its γ and β, or both.
enum class Freeze : std::uint8_t { none, statistics, affine, all };

/// What training does with a batch that is too small to normalize: one value per channel, or fewer
/// samples than ghost_size.
enum class SmallBatch : std::uint8_t {
  error,
  running_stats  ///< normalize as in eval mode; the running statistics stay as they are
};

std::string_view name_of(Freeze freeze);
std::string_view name_of(SmallBatch policy);

/// Options of a batch norm layer; changing them after construction has no effect.
struct BatchNormOptions {
  double eps = 1e-5;
  /// Weight of the new value in the running averages (PyTorch's convention); empty: cumulative
  /// average.
  std::optional<double> momentum = 0.1;
  /// The other convention, decay = 1 − momentum; where given it takes momentum's place.
  std::optional<double> decay = std::nullopt;
  bool affine = true;               ///< learn γ and β
  bool track_running_stats = true;  ///< without, eval mode uses the batch's statistics too
  /// Fold σ²·m/(m−1) into running_var (PyTorch); false: σ² (ONNX, Keras, Flax).
  bool unbiased = true;
  bool guard = false;  ///< refuse to fold non-finite batches into the running statistics
  /// Ghost batch norm (Hoffer et al., 2017): training normalizes every `ghost_size` samples by
  /// themselves, as if such batches came one after another. 0: off.
  std::int64_t ghost_size = 0;
  SmallBatch small_batch = SmallBatch::error;
  Freeze freeze = Freeze::none;  ///< as by freeze()
  /// Write y over x where x is given away (forward_in_place()), keep y alone for backward, and have
  /// x̂ back from it (Rota Bulò et al., 2018): with nothing or a LeakyReLU behind, in the same pass.
  /// y and the statistics keep their bits; gradients differ by rounding (docs/memory.md). Elsewhere
  /// (behind ReLU or a sum, with padding) it has no effect; renormalized layers refuse it.
  bool in_place = false;
};

/// The limits of batch renormalization (Ioffe, 2017), which grow from those of batch norm (1 and 0)
/// while num_batches_tracked goes from ramp_begin to ramp_end, and how. The paper ramps from 5,000
/// to 25,000 and 40,000 of some 100,000 steps; the defaults are for runs of some thousands.
struct RenormOptions {
  double r_max = 3;
  double d_max = 5;
  std::int64_t ramp_begin = 200;
  std::int64_t ramp_end = 1000;
};

/// The common part of BatchNorm1d, 2d and 3d and their renormalized relatives. State as PyTorch
/// names it: weight (γ), bias (β), running_mean, running_var (f64 [C]) and num_batches_tracked (i64
/// scalar). Input and output [N, C, spatial...], f32 with f32 parameters or f64 with f64
/// parameters, either layout.
///
/// With ghost_size g, training takes statistics over the samples [0, g), [g, 2g), … and the rest; a
/// virtual batch of fewer than two values per channel is joined to its neighbour. The running
/// statistics and num_batches_tracked take each as a batch, in this order.
class BatchNorm : public Module, public TakesAddend {
 public:
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override { return forward_in_place(x); }
  Tensor forward_in_place(Tensor x) override;
  Tensor backward(const Tensor& dy) override { return backward_in_place(dy); }
  Tensor backward_in_place(Tensor dy) override;
  void reset_parameters(Random& random) override;
  std::string fusion_note() const override;
  std::string mode_note() const override;

  /// Holds still what is named and lets go of the rest; survives train(). With the statistics held,
  /// training normalizes with them and backward treats them as constants. Throws UsageError where
  /// there is nothing of the kind; `all` takes what there is.
  void freeze(Freeze what = Freeze::statistics);
  void unfreeze() { freeze(Freeze::none); }
  Freeze frozen() const { return settings_.freeze; }
  /// Throws what freeze(what) would.
  void expect_freezable(Freeze what) const;

  std::int64_t channels() const { return channels_; }
  /// Whether a mask says which steps are valid.
  bool masked() const { return mask_.defined(); }
  const BatchNormOptions& settings() const { return settings_; }
  /// The limits of a renormalized layer, else empty.
  const std::optional<RenormOptions>& renorm() const { return renorm_; }
  /// The fewest samples that a training batch needs for virtual batches; 1 where it is not asked.
  std::int64_t least_samples() const;
  /// How many training batches the guard has kept out of the running statistics so far.
  std::int64_t refused_batches() const { return refused_; }
  /// Switches the guard of an existing layer (the trainer switches it on).
  void set_guard(bool on) { settings_.guard = on; }
  /// Averages all following batches equally, as for recalibration: resets the running statistics
  /// and sets the momentum.
  void reset_running_stats();
  void set_momentum(std::optional<double> momentum);

  /// Hears of what each forward is about to normalize: the input, or the valid steps of padded
  /// sequences as rows [M, C]. Copies of the layer start without; {} for none.
  using Observer = std::function<void(const Tensor& x)>;
  void set_observer(Observer observer) { observer_.call = std::move(observer); }
  /// The one that was set, for whoever listens beside it; empty if none was.
  const Observer& observer() const { return observer_.call; }

  // For the fusion pass and containers.

  /// Appends an activation to the normalizing pass.
  void fuse_activation(norm::Activation activation, double slope);
  norm::Activation fused_activation() const { return activation_; }
  /// Lets the next forward add `other` before the activation; its gradient is taken after backward.
  void set_addend(Tensor other) override { addend_ = std::move(other); }
  Tensor take_addend_gradient() { return std::move(addend_gradient_); }
  /// Whether a container gives every forward an addend; shown by fusion_note().
  void set_joined(bool on) { joined_ = on; }
  /// Which results layers behind may have computed again instead of keeping them (set_memory() of a
  /// network). Where virtual batches are corrected, or steps of sequences left out, they keep them.
  /// Memory::save makes a layer with a LeakyReLU in_place, too.
  void set_memory(Memory memory) { memory_ = memory; }
  /// As the option; throws what the constructor would.
  void set_in_place(bool on);

 protected:
  BatchNorm(std::int64_t channels, int min_rank, int max_rank, BatchNormOptions options,
            std::optional<RenormOptions> renorm = std::nullopt);
  BatchNorm(const BatchNorm& other) = default;
  BatchNorm(BatchNorm&&) = default;
  SavedBase* own_saved() override { return &saved_; }
  void clear_own_rest() override {
    addend_ = {};
    addend_gradient_ = {};
  }
  void hold_mask(Tensor mask) { mask_ = std::move(mask); }

 private:
  enum class Statistics : std::uint8_t { running, batch, renormalized };
  /// What is not copied with the layer.
  struct Listening {
    Observer call;
    Listening() = default;
    Listening(const Listening& /*other*/) {}
    Listening(Listening&&) = default;
    Listening& operator=(const Listening&) = delete;
    Listening& operator=(Listening&&) = default;
    ~Listening() = default;
  };
  struct Saved;
  struct Pass;
  class Again;

  void check(const Shape& input) const;
  void check_freezable(Freeze what, const std::string& name) const;
  void hold(Freeze what);
  bool statistics_held() const;
  norm::Affine affine() const;
  norm::RunningStats running_stats();
  void check_addend(const Tensor& x, const Tensor& addend) const;
  std::unique_ptr<const SequenceRows> valid_rows(const Tensor& x) const;
  Statistics statistics_for(const Shape& input, std::int64_t values) const;
  std::vector<std::int64_t> cuts_of(const Pass& pass, const SequenceRows* rows) const;
  bool writes_over(const Pass& pass) const;
  Tensor forward_all(Tensor x, const Tensor& addend, Statistics statistics);
  Tensor forward_valid(const Tensor& x, const Tensor& addend, Statistics statistics,
                       std::unique_ptr<const SequenceRows> rows);
  bool gives_up(const Pass& pass) const;
  void prepare(Pass& pass) const;
  void run(Pass& pass);
  Tensor backward_all(const Saved& saved, Tensor dy);
  Tensor backward_recovered(const Saved& saved, Tensor dy);
  Tensor backward_valid(const Saved& saved, const Tensor& dy);
  void run_back(const Saved& saved, const Tensor& dy, Tensor& dx, Tensor& addend_gradient);

  std::int64_t channels_;
  int min_rank_, max_rank_;
  BatchNormOptions settings_;
  std::optional<RenormOptions> renorm_;
  Id weight_ = 0, bias_ = 0, mean_ = 0, var_ = 0, batches_ = 0;
  std::int64_t refused_ = 0;
  norm::Activation activation_ = norm::Activation::none;
  double slope_ = 0.01;
  bool affine_frozen_ = false;
  bool joined_ = false;
  Memory memory_ = Memory::normal;
  Tensor mask_;
  Tensor addend_, addend_gradient_;
  Listening observer_;
  SavedStack<std::shared_ptr<const Saved>> saved_;
};

/// What BatchNorm1d and BatchRenorm1d share: [N, C] or [N, C, L]. Of padded sequences [N, C, L],
/// lengths (set_lengths) or a mask say which steps are valid: the others enter neither statistics
/// nor gradients, and are zero in y (before a fused sum and activation) and in dx. Where there is
/// padding, the bits are those of the valid steps packed as [M, C], sequence by sequence; virtual
/// batches are of samples. Lengths say nothing of [N, C].
class SequenceBatchNorm : public BatchNorm {
 public:
  /// u8 [N, L], 0 where a step of the batches that follow is padding; until it is said again, {}
  /// for none. It takes the place of lengths. A mask of another shape, or one that leaves nothing,
  /// is a ShapeError of forward.
  void set_mask(Tensor mask) { hold_mask(std::move(mask)); }

 protected:
  using BatchNorm::BatchNorm;
};

/// [N, C] or [N, C, L].
class BatchNorm1d : public Cloneable<BatchNorm1d, SequenceBatchNorm> {
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
