// Fully connected layers: y = x·Wᵀ + b.
#pragma once

#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

// Activations f32 or f64 with parameters alike, or bf16 with f32 parameters: x [N, K], weight [M,
// K] (PyTorch's order), bias [M] or undefined, y and dy [N, M]. f32 and bf16 run through oneDNN
// (bf16 with the weight rounded to bf16 and sums in f32; by way of f32 where oneDNN lacks it), f64
// through plain loops. Errors, before anything is written: ShapeError, and UsageError for an output
// that overlaps another tensor. N = 0 is allowed.

/// Overwrites y.
void linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y);
/// Overwrites dx = dy·W.
void linear_backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx);
/// Adds dyᵀ·x to dweight and, where dbias is defined, the column sums of dy to it.
void linear_backward_weight(const Tensor& x, const Tensor& dy, Tensor& dweight, Tensor& dbias);

}  // namespace evenkeel::ops
