// Percentiles of the values of a tensor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::train {

/// The percentiles `which` (0 to 100, in any order) of all values, which are f32, f64 or bf16:
/// interpolated linearly between the two nearest, as numpy.percentile does by default. NaN where a
/// value is NaN or there is none. Throws UsageError for percentiles and dtypes that are others.
std::vector<double> percentiles(const Tensor& values, std::span<const double> which);
/// Of the values of one unit of [N, C, spatial...], an index of dimension 1. Throws ShapeError
/// where there is no such dimension or unit, and what percentiles() throws.
std::vector<double> percentiles_of_unit(const Tensor& values, std::int64_t unit,
                                        std::span<const double> which);
/// Of numbers at hand.
std::vector<double> percentiles(std::vector<double> values, std::span<const double> which);

}  // namespace evenkeel::train
