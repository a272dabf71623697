// The Gaussian error linear unit.
#pragma once

#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

// gelu(x) = x·Φ(x), Φ the normal distribution (Hendrycks and Gimpel 2016); not its approximation by
// tanh. Tensors of any shape, f32, f64 or bf16, all of one dtype and layout. f32 results are within
// 2e-7·max(1, |x|). NaN stays NaN. Errors: ShapeError where shapes, types or layouts differ,
// UsageError for memory that overlaps; before anything is written.

/// Overwrites y. y may be x.
void gelu_forward(const Tensor& x, Tensor& y);
/// Overwrites dx from dy and the *input* x. dx may be dy or x.
void gelu_backward(const Tensor& x, const Tensor& dy, Tensor& dx);

}  // namespace evenkeel::ops
