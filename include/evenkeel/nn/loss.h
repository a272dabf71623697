// Losses: value and gradient in one call.
#pragma once

#include <cstdint>
#include <span>

#include <evenkeel/core/tensor.h>

namespace evenkeel::nn {

struct LossResult {
  double value = 0;
  Tensor gradient;  ///< with respect to the network's output, of its shape and dtype
};

/// The mean over the batch of the cross-entropy between softmax(logits) and the labels, which are
/// smoothed as (1 − s)·onehot + s/K (PyTorch's label_smoothing). logits [N, K], f32, f64 or bf16
/// (computed in f32), labels one of 0 … K − 1 for each row. Throws ShapeError for other shapes or
/// labels, UsageError for a smoothing outside [0, 1].
struct CrossEntropy {
  double label_smoothing = 0;

  LossResult operator()(const Tensor& logits, std::span<const std::int32_t> labels) const;
  /// Without the gradient.
  double value(const Tensor& logits, std::span<const std::int32_t> labels) const;
};

/// The mean over all elements of (y − target)². Tensors of one shape, dtype and layout; beside a
/// bf16 y the target may be f32.
struct MeanSquaredError {
  LossResult operator()(const Tensor& y, const Tensor& target) const;
  /// Without the gradient.
  double value(const Tensor& y, const Tensor& target) const;
};

/// The mean over the batch of −log(p of the label) for probabilities [N, K] instead of logits; of 0
/// that of the smallest float32 is taken. Errors as of CrossEntropy.
double negative_log(const Tensor& probabilities, std::span<const std::int32_t> labels);

/// How many rows of [N, K] are largest at their label; of equal values the first counts, and a row
/// with a NaN is wrong. Throws ShapeError unless there is one label per row.
std::int64_t count_correct(const Tensor& logits, std::span<const std::int32_t> labels);

}  // namespace evenkeel::nn
