// What the convolutions check, and the geometry that comes of it.
#pragma once

#include <string_view>

#include "ops/conv_geometry.h"
#include <evenkeel/core/tensor.h>
#include <evenkeel/ops/conv.h>

namespace evenkeel::ops::detail {

/// Throws ShapeError naming the operator where x, weight and options do not fit each other.
ConvGeometry geometry_of(std::string_view op, const Shape& x, const Shape& weight,
                         const ConvOptions& options);

Shape output_shape(const Shape& x, const ConvGeometry& g);

/// The geometry in x's layout; where channels or positions number one on both sides, the layouts
/// are the same memory and the faster one is taken.
ConvGeometry laid_out(ConvGeometry g, Layout layout);

/// The geometry of a convolution whose input, or its gradient, is x: of its dtype, laid out as it
/// is.
ConvGeometry geometry_of(std::string_view op, const Tensor& x, const Shape& weight,
                         const ConvOptions& options);

/// Whether the feature maps are bf16 and oneDNN cannot compute in it here: then by way of f32.
bool widens(const ConvGeometry& g);

/// Weights are channels first whatever the layout of the feature maps, and f32 beside bf16.
void check_weight(std::string_view op, std::string_view name, const Tensor& weight,
                  const Tensor& like);

}  // namespace evenkeel::ops::detail
