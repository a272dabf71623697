// Sums and concatenations of what several branches gave, whatever their layouts.
#pragma once

#include <span>
#include <utility>
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

/// What a product of two needs: one rank, extents equal or 1.
Shape product_shape(const Module& layer, std::string_view what, std::span<const Shape> parts);
/// a·b of `shape`, in a's layout.
Tensor product(const Shape& shape, const Tensor& a, const Tensor& b);
/// The gradient of one factor, of its shape, from that of the product.
Tensor factor_gradient(const Tensor& dy, const Tensor& other, const Tensor& factor);

/// What a product of matrices needs: [..., M, K] and [..., K, P], equal but for M and P.
Shape matmul_shape(const Module& layer, std::string_view what, std::span<const Shape> parts);
/// The products of the last two dimensions, of `shape`.
Tensor matmul(const Shape& shape, const Tensor& a, const Tensor& b);
/// dy·bᵀ and aᵀ·dy, of the shapes of a and b.
std::pair<Tensor, Tensor> matmul_gradients(const Tensor& dy, const Tensor& a, const Tensor& b);

}  // namespace evenkeel::nn
