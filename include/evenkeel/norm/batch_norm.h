// Batch normalization (Ioffe and Szegedy, 2015): whole operations and the phases they are made of.
//
// For channel c over its m = N·S values: μ = Σx/m, σ² = Σ(x−μ)²/m, x̂ = (x−μ)/√(σ²+ε),
// y = act(γx̂ + β + add). docs/numerics.md derives the gradients and the accuracy.
//
// Rules for all functions here
// - Errors (ShapeError, UsageError) are thrown before anything is written: sizes, layouts, null and
//   misaligned pointers, memory that is too small.
// - Nothing allocates: ask workspace_size() and state_size() and pass the memory in.
// - y may be x or the added tensor, dx may be x or dy, dadd may be dy: the very same memory. Activations
//   that overlap otherwise are refused with a UsageError. Inputs are never written.
// - dγ and dβ accumulate; every other output is overwritten.
// - All activations of a call have one dtype (f32, bf16 or f64), layout and size. For f32 a result has
//   the same bits for any number of threads, fused or not, whole or in phases. bf16 is a storage
//   format: a result is that of f32 on the same values, rounded to nearest even where it is stored;
//   statistics, sums and the mask are the very same.
#pragma once

#include <evenkeel/norm/views.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace evenkeel::norm {

enum class Activation : std::uint8_t { none, relu, leaky_relu };

/// What follows the normalization in the same pass over memory: first the sum, then the activation.
struct Epilogue {
  Activation activation = Activation::none;
  double slope = 0.01;                  ///< of leaky_relu where its argument is not positive
  std::optional<ConstChannelView> add;  ///< the other branch of a residual sum
};

/// γ and β, C values each; an empty one stands for ones or zeros.
struct Affine {
  ConstVectorView gamma, beta;
};

/// Count, mean and M2 = Σ(x−mean)² of each channel, C values each: what synchronized, ghost and
/// recalibrating variants combine.
struct Moments {
  std::span<double> count, mean, m2;
};

/// Running averages, C values each, in double: at |mean|/σ = 1e6 a float32 average would drift by
/// several σ.
struct RunningStats {
  std::span<double> mean, var;
  std::int64_t* batches = nullptr;  ///< counts the batches folded in; may be null
  /// PyTorch's convention, the weight of the new value; empty means the cumulative average, which
  /// needs `batches`.
  std::optional<double> momentum = 0.1;
  /// Fold in σ²·m/(m−1) (PyTorch) or the biased σ² (ONNX, Keras, Flax).
  bool unbiased = true;
  /// Leave everything unchanged where any channel's batch mean or variance is not finite.
  bool refuse_non_finite = false;
};

/// What forward saves for backward. The caller owns the memory.
struct BatchNormState {
  std::span<double> mean, var, inv_std;  ///< C values each; var is biased, inv_std is 1/√(var+ε)
  std::span<std::uint8_t> mask;          ///< one bit per element: the activation passed it on
};

/// Bytes of a state for activations of these dimensions (x needs no data here and in the next two).
std::size_t state_size(const ConstChannelView& x, const Epilogue& epilogue);
/// Lays a state out in `memory` (state_size() bytes, aligned to 8). Writes nothing.
BatchNormState bind_state(std::span<std::byte> memory, const ConstChannelView& x,
                          const Epilogue& epilogue);
/// Bytes of scratch memory that any function below may need for activations of these dimensions;
/// aligned to 8. Its content means nothing between calls.
std::size_t workspace_size(const ConstChannelView& x);

// ---- Whole ----

/// Normalizes with the batch's own statistics, saves them to `state` and folds them into `running`
/// where that is given. Returns whether they were folded in (false only where refuse_non_finite
/// refused). A channel of one value is an error; an empty batch leaves `running` unchanged, fills
/// `state` with zeros and returns true.
bool forward_train(const ConstChannelView& x, const Affine& affine, double eps,
                   RunningStats* running, const Epilogue& epilogue, const ChannelView& y,
                   BatchNormState& state, std::span<std::byte> workspace);

/// Normalizes with given statistics, elementwise. Fills `state` where it is given, for
/// backward_infer.
void forward_infer(const ConstChannelView& x, const Affine& affine, double eps,
                   std::span<const double> mean, std::span<const double> var,
                   const Epilogue& epilogue, const ChannelView& y, BatchNormState* state,
                   std::span<std::byte> workspace);

/// Gradients of forward_train. With g = dy·act':
/// dβ += Σg, dγ += Σg·x̂, dx = γ/√(σ²+ε)·(g − Σg/m − x̂·Σ(g·x̂)/m), dadd = g.
void backward_train(const ConstChannelView& x, const ConstChannelView& dy, const Affine& affine,
                    const BatchNormState& state, const Epilogue& epilogue, const ChannelView& dx,
                    VectorView dgamma, VectorView dbeta, const std::optional<ChannelView>& dadd,
                    std::span<std::byte> workspace);

/// Gradients of forward_infer: as above but dx = γ/√(σ²+ε)·g.
void backward_infer(const ConstChannelView& x, const ConstChannelView& dy, const Affine& affine,
                    const BatchNormState& state, const Epilogue& epilogue, const ChannelView& dx,
                    VectorView dgamma, VectorView dbeta, const std::optional<ChannelView>& dadd,
                    std::span<std::byte> workspace);

// ---- Phases ----

/// Overwrites `moments` with those of x. An empty x gives zeros.
void collect(const ConstChannelView& x, const Moments& moments, std::span<std::byte> workspace);
/// Merges `other` into `into` (Chan, Golub and LeVeque, 1979).
void combine(const Moments& into, const Moments& other);
/// mean, var and inv_std from moments. Needs more than one value in every channel.
void finalize(const Moments& moments, double eps, BatchNormState& state);
/// Folds a batch's statistics over `count` values per channel into the averages; returns whether it
/// did (see RunningStats::refuse_non_finite).
bool update_running(const BatchNormState& state, double count, RunningStats& running);
/// Overwrites y, and state.mask where there is an activation.
void normalize(const ConstChannelView& x, BatchNormState& state, const Affine& affine,
               const Epilogue& epilogue, const ChannelView& y, std::span<std::byte> workspace);

/// Σg and Σg·(x−μ) of each channel, C values each.
struct GradientSums {
  std::span<double> g, g_centred;
};
/// Overwrites `sums`.
void reduce_gradients(const ConstChannelView& x, const ConstChannelView& dy,
                      const BatchNormState& state, const Epilogue& epilogue,
                      const GradientSums& sums, std::span<std::byte> workspace);
/// dγ and dβ from sums: each is added to where it is given.
void accumulate_affine_gradients(const BatchNormState& state, const GradientSums& sums,
                                 VectorView dgamma, VectorView dbeta);
/// Overwrites dx, and dadd where it is given. `count` is the number of values per channel behind
/// `sums` (more than x has when statistics are shared); 0 means that the statistics were constants.
/// Another count, negative or not finite, is a UsageError.
void propagate(const ConstChannelView& x, const ConstChannelView& dy, const BatchNormState& state,
               const Affine& affine, const Epilogue& epilogue, const GradientSums& sums,
               double count, const ChannelView& dx, const std::optional<ChannelView>& dadd,
               std::span<std::byte> workspace);

}  // namespace evenkeel::norm
