// Losses with their gradients.
#pragma once

#include <cstdint>
#include <span>

#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

/// Mean over the batch of the cross-entropy between softmax(logits [N, K]) and the labels, smoothed
/// as (1 − s)·onehot + s/K (PyTorch's label_smoothing). Overwrites dlogits where it is defined (it
/// may be logits). Computed with the maximum subtracted, sums in double. N = 0 gives 0. Errors: a
/// label outside [0, K) throws ShapeError naming its row, smoothing outside [0, 1] UsageError,
/// before anything is written. The same bits for any number of threads.
double softmax_cross_entropy(const Tensor& logits, std::span<const std::int32_t> labels,
                             double smoothing, Tensor* dlogits);
/// Overwrites p with softmax(logits) along the last dimension of [N, K]. p may be logits.
void softmax(const Tensor& logits, Tensor& p);

/// Mean over all elements of (y − target)²; overwrites dy where it is given, which may be y or
/// target.
double mean_squared_error(const Tensor& y, const Tensor& target, Tensor* dy);

}  // namespace evenkeel::ops
