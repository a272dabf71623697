// Convolution of f32 tensors through oneDNN. The arguments have been checked.
#pragma once

#include "ops/conv_geometry.h"

namespace evenkeel::ops::onednn {

/// Overwrites y; bias may be null.
void conv_forward(const ConvGeometry& g, const float* x, const float* weight, const float* bias,
                  float* y);
/// Overwrites dx.
void conv_backward_data(const ConvGeometry& g, const float* dy, const float* weight, float* dx);
/// Adds to dweight.
void conv_backward_weight(const ConvGeometry& g, const float* x, const float* dy, float* dweight);

}  // namespace evenkeel::ops::onednn
