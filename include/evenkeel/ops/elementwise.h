// Sums, copies between channels, dropout.
#pragma once

#include <span>

#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

// Tensors f32, f64 or bf16. Memory: where no sharing is named, an output lies apart from everything
// else. What overlaps otherwise is refused with a UsageError, other shapes, dtypes or layouts with
// a ShapeError, before anything is written.

/// y = a + b; equal shapes, dtypes, layouts. y may be a or b.
void add(const Tensor& a, const Tensor& b, Tensor& y);
/// y += a. y may be a.
void accumulate(const Tensor& a, Tensor& y);

/// Inverted dropout: overwrites y with x·mask/(1−p), mask drawn from `random` (which advances by a
/// count that depends on the shape alone), and mask (u8, x's shape) with 0 or 1. 0 ≤ p < 1.
/// Element i of the mask in memory order is the same for any number of threads. Another p throws
/// UsageError. y may be x.
void dropout_forward(const Tensor& x, double p, Random& random, Tensor& mask, Tensor& y);
/// Overwrites dx = dy·mask/(1−p). dx may be dy.
void dropout_backward(const Tensor& dy, const Tensor& mask, double p, Tensor& dx);

/// Overwrites y [N, ΣC, spatial...] with the parts [N, Cᵢ, spatial...] side by side.
void concat_channels(std::span<const Tensor> parts, Tensor& y);
/// The inverse: overwrites the parts.
void split_channels(const Tensor& y, std::span<Tensor> parts);

}  // namespace evenkeel::ops
