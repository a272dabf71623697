// Scalar arithmetic in double over rows: the reference, and the way out for f32 values at the ends
// of the range.
#pragma once

#include "norm/row_implementation.h"
#include "norm/scalar.h"

namespace evenkeel::norm {

template <class T>
double exact_squares(const T* x, const Patch& patch) {
  double sum = 0;
  for_each_offset(patch, [&](std::int64_t i) {
    const auto v = in_double(x[i]);
    sum += v * v;
  });
  return sum;
}

inline double value_or(const ConstVectorView& values, std::int64_t i, double otherwise) {
  return values.empty() ? otherwise : values[i];
}

/// γx̂ + β of one value.
inline double exact_row_value(double x, const RowNormalizeJob& job, std::int64_t row,
                              std::int64_t channel) {
  const auto r = static_cast<std::size_t>(row);
  return (x - job.state.mean[r]) * job.state.inv_std[r] * value_or(job.affine.gamma, channel, 1.0) +
         value_or(job.affine.beta, channel, 0.0);
}

/// dx of one value.
inline double exact_row_gradient(double x, double dy, const RowGradientJob& job, std::int64_t row,
                                 std::int64_t channel, const RowSlopes& slopes) {
  const auto r = static_cast<std::size_t>(row);
  const double g = dy * value_or(job.affine.gamma, channel, 1.0);
  return job.state.inv_std[r] * ((g - slopes.a) - (x - job.state.mean[r]) * slopes.b);
}

/// Σdy and Σdy·(x−μ) over a patch of one channel of a row.
template <class T>
RowSums exact_channel_sums(const T* x, const T* dy, const Patch& patch, double mean) {
  RowSums sums;
  for_each_offset(patch, [&](std::int64_t i) {
    sums.g += in_double(dy[i]);
    sums.g_centred += in_double(dy[i]) * (in_double(x[i]) - mean);
  });
  return sums;
}

/// The sums of `count` neighbouring elements of a row, γ per element from channel `channel` on.
template <class T>
RowSums exact_element_sums(const T* x, const T* dy, std::int64_t count, const RowGradientJob& job,
                           std::int64_t row, std::int64_t channel) {
  const double mean = job.state.mean[static_cast<std::size_t>(row)];
  RowSums sums;
  for (std::int64_t i = 0; i < count; ++i) {
    const double g = in_double(dy[i]) * value_or(job.affine.gamma, channel + i, 1.0);
    sums.g += g;
    sums.g_centred += g * (in_double(x[i]) - mean);
  }
  return sums;
}

/// Adds dy·x̂ and dy of `count` neighbouring elements of a row to theirs.
template <class T>
void exact_contributions(const T* x, const T* dy, std::int64_t count, const RowNormState& state,
                         std::int64_t row, double* dgamma, double* dbeta) {
  const double mean = state.mean[static_cast<std::size_t>(row)];
  const double inv_std = state.inv_std[static_cast<std::size_t>(row)];
  for (std::int64_t i = 0; i < count; ++i) {
    const auto g = in_double(dy[i]);
    dgamma[i] += g * ((in_double(x[i]) - mean) * inv_std);
    dbeta[i] += g;
  }
}

}  // namespace evenkeel::norm
