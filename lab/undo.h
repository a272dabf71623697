// Undoing a batch norm by its own scale and shift.
#pragma once

#include <cstdint>

#include <evenkeel/core/tensor.h>
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::lab {

/// f64 [n, units]: each unit normal with a spread of its own between 0.1 and 10, around plus or
/// minus `offset` times that.
Tensor spread_samples(std::int64_t n, std::int64_t units, double offset, std::uint64_t seed);

/// Sets γ = √(σ² + ε) and β = μ of x, [n, units]: what makes a training forward of x give x.
void undo(nn::BatchNorm1d& layer, const Tensor& x);

/// √mean (y − x)² over √mean x², unit by unit, and the mean of that over the units; at least 1e-20,
/// since a result can be exact in every digit and its logarithm is taken. y and x [n, units], f32
/// or f64.
double relative_error(const Tensor& y, const Tensor& x);

}  // namespace evenkeel::lab
