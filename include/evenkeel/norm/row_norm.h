// Normalization within rows: layer norm (Ba et al., 2016), RMS norm (Zhang and Sennrich, 2019),
// group norm (Wu and He, 2018) and instance norm (Ulyanov et al., 2016), which is group norm with
// one channel per group. Whole operations and the phases they are made of.
//
// For a row of L values: μ = Σx/L, σ² = Σ(x−μ)²/L, x̂ = (x−μ)/√(σ²+ε), y = γx̂ + β; RMS norm takes μ
// = 0. docs/row-norms.md derives the gradients and the accuracy.
//
// Rules for all functions here
// - Errors (ShapeError, UsageError) are thrown before anything is written: sizes, layouts, null and
//   misaligned pointers, memory that is too small.
// - Nothing allocates: ask row_workspace_size() and row_state_size() and pass the memory in.
// - y may be x, dx may be x or dy: the very same memory. Activations that overlap otherwise are
//   refused with a UsageError. Inputs are never written.
// - dγ and dβ accumulate; every other output is overwritten.
// - All activations of a call have one dtype (f32, bf16 or f64), layout and size. For f32 a result has
//   the same bits for any number of threads, whole or in phases; for bf16 it is that of f32 on the same
//   values, rounded to nearest even where it is stored.
// - A row of one value is no error: x̂ = 0 (RMS norm apart). No rows, or rows of no values, leave
//   everything but `state` untouched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm {

/// N samples of `groups` groups of `channels` channels of S positions. Row (n, g), number n·groups
/// + g, is the channels·S values of one group of one sample; γ and β have one value per channel of
/// the sample, groups·channels in all. Element (n, g, c, s) lies, channels_first, at
/// ((n·groups + g)·channels + c)·S + s and, channels_last, at ((n·S + s)·groups + g)·channels + c.
/// Layer and RMS norm over L values are one group of L channels of one position: γ and β per
/// element.
struct ConstRowView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  std::int64_t n = 0, groups = 1, channels = 0, s = 1;

  std::int64_t rows() const { return n * groups; }
  /// Values per row.
  std::int64_t length() const { return channels * s; }
  /// Values of γ and of β.
  std::int64_t parameters() const { return groups * channels; }
  std::int64_t numel() const { return rows() * length(); }
};

struct RowView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  std::int64_t n = 0, groups = 1, channels = 0, s = 1;

  operator ConstRowView() const { return {data, dtype, layout, n, groups, channels, s}; }
};

/// `rows` rows of `length` contiguous values with γ and β per element: layer and RMS norm.
ConstRowView row_view(const void* data, DType dtype, std::int64_t rows, std::int64_t length);
RowView row_view(void* data, DType dtype, std::int64_t rows, std::int64_t length);
/// The last `axes` dimensions of a channels-first tensor (or of one whose layouts coincide) as
/// rows. ShapeError where it has fewer, for 0 axes, or where the elements of a row are not
/// contiguous.
ConstRowView row_view(const Tensor& tensor, int axes);
RowView row_view(Tensor& tensor, int axes);
/// The channels of x in `groups` groups of neighbours: group norm; with as many groups as channels,
/// instance norm. ShapeError unless they divide evenly.
ConstRowView group_view(const ConstChannelView& x, std::int64_t groups);
RowView group_view(const ChannelView& x, std::int64_t groups);

/// What x is measured from: its row's mean, or zero (RMS norm).
enum class Centre : std::uint8_t { mean, zero };

struct RowNorm {
  double eps = 1e-5;
  Centre centre = Centre::mean;
};

/// What forward saves for backward. The caller owns the memory.
struct RowNormState {
  /// One value per row: var is biased (Σx²/L where the centre is zero), inv_std is 1/√(var+ε).
  std::span<double> mean, var, inv_std;
};

/// Bytes of a state for these rows.
std::size_t row_state_size(const ConstRowView& x);
/// Lays a state out in `memory` (row_state_size() bytes, aligned to 8). Writes nothing.
RowNormState bind_row_state(std::span<std::byte> memory, const ConstRowView& x);
/// Bytes of scratch memory that any function below may need for these rows; aligned to 8. Its
/// content means nothing between calls.
std::size_t row_workspace_size(const ConstRowView& x);

// ---- Whole ----

/// Normalizes each row with its own statistics; they are saved to `state` where that is given.
/// `affine` has x.parameters() values of each, or none.
void forward_rows(const ConstRowView& x, const Affine& affine, const RowNorm& norm,
                  const RowView& y, RowNormState* state, std::span<std::byte> workspace);

/// Gradients of forward_rows. With g = γ·dy, means over the row:
/// dx = (g − mean(g) − x̂·mean(g·x̂))/√(σ²+ε), where RMS norm has no mean(g); over all rows that
/// share a value of γ and β: dγ += Σdy·x̂, dβ += Σdy, each where it is given.
void backward_rows(const ConstRowView& x, const ConstRowView& dy, const Affine& affine,
                   const RowNormState& state, Centre centre, const RowView& dx, VectorView dgamma,
                   VectorView dbeta, std::span<std::byte> workspace);

// ---- Phases ----

/// Overwrites `moments`, x.rows() values each; parts of a row can be merged with combine(). For
/// Centre::zero the mean is 0 and m2 is Σx². Rows of no values give zeros.
void collect_rows(const ConstRowView& x, Centre centre, const Moments& moments,
                  std::span<std::byte> workspace);
/// mean, var and inv_std from moments; all 0 where the count is 0.
void finalize_rows(const Moments& moments, double eps, RowNormState& state);
/// Overwrites y.
void normalize_rows(const ConstRowView& x, const RowNormState& state, const Affine& affine,
                    const RowView& y, std::span<std::byte> workspace);

/// Folds instance statistics into running averages: x.parameters() channels of one group each, the
/// mean over the samples of each channel's means and (unbiased) variances. Needs more than one
/// position and a momentum. An empty batch changes nothing. Returns whether it did fold them in
/// (see RunningStats::refuse_non_finite).
bool update_running_instances(const ConstRowView& x, const RowNormState& state,
                              RunningStats& running, std::span<std::byte> workspace);

}  // namespace evenkeel::norm
