// Convolution over one to three spatial dimensions (cross-correlation, as everywhere in the field).
#pragma once

#include <cstdint>

#include <evenkeel/core/tensor.h>
#include <evenkeel/ops/spatial.h>

namespace evenkeel::ops {

struct ConvOptions {
  Spatial stride{1, 1, 1};
  Spatial padding{0, 0, 0};   ///< zeros on both sides
  Spatial dilation{1, 1, 1};  ///< 1: dense
  std::int64_t groups = 1;
};

// Feature maps f32 or f64 with parameters alike, or bf16 with f32 parameters: x [N, C, L], [N, C,
// H, W] or [N, C, D, H, W] in either layout, weight [M, C/groups, K], [M, C/groups, KH, KW] or [M,
// C/groups, KD, KH, KW] always channels first (PyTorch's order), bias [M] or undefined, y and dy as
// conv_output_shape says, in x's layout. f32 and bf16 run through oneDNN (bf16 by way of f32 where
// oneDNN lacks it), f64 through plain loops.
// bf16 products are summed in f32 and rounded once. Errors, before anything is written: ShapeError
// naming the operator, UsageError for an output that overlaps another tensor. N = 0 is allowed.

/// [N, M, OL], [N, M, OH, OW] or [N, M, OD, OH, OW] with O = (I + 2·padding − dilation·(K − 1) − 1)
/// / stride + 1. Throws ShapeError where x, weight and options do not fit each other or the result
/// would be empty.
Shape conv_output_shape(const Shape& x, const Shape& weight, const ConvOptions& options);

/// Overwrites y.
void conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const ConvOptions& options, Tensor& y);
/// Overwrites dx.
void conv_backward_data(const Tensor& dy, const Tensor& weight, const ConvOptions& options,
                        Tensor& dx);
/// Adds to dweight and, where dbias is defined, to dbias.
void conv_backward_weight(const Tensor& x, const Tensor& dy, const ConvOptions& options,
                          Tensor& dweight, Tensor& dbias);

}  // namespace evenkeel::ops
