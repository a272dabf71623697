// What every layer checks, in one wording.
#pragma once

#include <cstdint>
#include <string_view>

#include <evenkeel/core/tensor.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// "[N, 3, H, W]" for 2 spatial dimensions; "C" where the number of channels is free (0).
std::string pattern_of(int spatial_rank, std::int64_t channels);

/// Throws ShapeError naming the layer unless x is [N, channels, spatial...] (any channels for 0).
void expect_spatial(const Module& layer, const Shape& x, int spatial_rank, std::int64_t channels);

/// Throws ShapeError naming the layer unless x has the dtype of the layer's parameters, or is bf16
/// where they are f32.
void expect_dtype(const Module& layer, const Tensor& x, const Parameter& parameter);

/// dy in `layout` (converted where it came in another). Throws ShapeError naming the layer unless
/// it has the shape and dtype of what forward returned.
Tensor expect_gradient(const Module& layer, const Tensor& dy, const Shape& shape, DType dtype,
                       Layout layout);

/// Throws UsageError naming the layer and the option unless value ≥ least.
void expect_at_least(std::string_view layer, std::string_view option, std::int64_t value,
                     std::int64_t least);

}  // namespace evenkeel::nn
