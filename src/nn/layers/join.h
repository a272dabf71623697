// Sums and concatenations of what several branches gave, whatever their layouts.
#pragma once

#include <span>
#include <vector>

#include <evenkeel/core/tensor.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// The common shape. Throws ShapeError naming the layer and `what` unless all are equal.
Shape sum_shape(const Module& layer, std::string_view what, std::span<const Shape> parts);
/// [N, ΣCᵢ, spatial...]. Throws ShapeError unless all are equal but for Cᵢ.
Shape concat_shape(const Module& layer, std::string_view what, std::span<const Shape> parts);

/// In fresh memory and in the layout of the first.
Tensor sum(const Tensor& a, const Tensor& b);
Tensor concat(const Shape& shape, std::vector<Tensor> parts);
/// The gradients of the parts of a concatenation.
std::vector<Tensor> split(const Tensor& dy, std::span<const Shape> parts);

/// total + part, where either may be undefined: nobody needed it.
/// Over the memory of one of them where nobody else has it.
Tensor sum_of_gradients(Tensor total, Tensor part);

}  // namespace evenkeel::nn
