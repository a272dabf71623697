// Scalar arithmetic in double: the reference, and the way out for values at the ends of the range.
#pragma once

#include <cmath>
#include <cstdint>

#include "norm/implementation.h"
#include <evenkeel/core/stored.h>

namespace evenkeel::norm {

/// Calls f(offset, mask byte index, mask bit) for every element of a block of channel c.
template <class F>
void for_each_element(const Cut& cut, const Block& block, std::int64_t c, F&& f) {
  for (std::int64_t row = block.row0; row < block.row1; ++row) {
    const std::int64_t base = cut.offset(row, c);
    const std::int64_t mask_row = cut.mask_row(row, c);
    for (std::int64_t i = block.s0; i < block.s1; ++i) {
      const std::int64_t bit = cut.mask_bit(c, i);
      f(base + i, mask_row + bit / 8, static_cast<int>(bit % 8));
    }
  }
}

struct MeanAndM2 {
  double mean, m2;
};

/// Two passes, the mean corrected by the mean of the remainders.
template <class T>
MeanAndM2 exact_moments(const T* x, const Patch& patch) {
  const auto count = static_cast<double>(patch.count());
  double sum = 0;
  for_each_offset(patch, [&](std::int64_t i) { sum += in_double(x[i]); });
  double mean = sum / count;
  if (std::isfinite(mean)) {
    double rest = 0;
    for_each_offset(patch, [&](std::int64_t i) { rest += in_double(x[i]) - mean; });
    mean += rest / count;
  }
  double m2 = 0;
  for_each_offset(patch, [&](std::int64_t i) {
    const double d = in_double(x[i]) - mean;
    m2 += d * d;
  });
  return {mean, m2};
}

/// γx̂ + β of one value.
inline double exact_normalized(double x, const NormalizeJob& job, std::int64_t c) {
  const auto i = static_cast<std::size_t>(c);
  const double gamma = job.affine.gamma.empty() ? 1.0 : job.affine.gamma[c];
  const double beta = job.affine.beta.empty() ? 0.0 : job.affine.beta[c];
  return (x - job.state.mean[i]) * job.state.inv_std[i] * gamma + beta;
}

/// Sum and activation of one value, in the arithmetic of the tensor, as separate operators would do
/// it.
template <class T>
Arithmetic<T> epilogue_value(Arithmetic<T> z, const Epilogue& epilogue, std::int64_t offset,
                             bool& passed) {
  using A = Arithmetic<T>;
  if (epilogue.add) z += widened(static_cast<const T*>(epilogue.add->data)[offset]);
  passed = !(z <= A{0});  // NaN passes: it must not be hidden
  if (passed || epilogue.activation == Activation::none) return z;
  return epilogue.activation == Activation::relu ? A{0} : z * static_cast<A>(epilogue.slope);
}

/// dy behind the activation.
template <class T>
Arithmetic<T> masked_gradient(const GradientJob& job, std::int64_t offset, std::int64_t byte,
                              int bit) {
  using A = Arithmetic<T>;
  const A dy = widened(static_cast<const T*>(job.dy.data)[offset]);
  if (job.epilogue.activation == Activation::none) return dy;
  if ((job.state.mask[static_cast<std::size_t>(byte)] >> bit & 1) != 0) return dy;
  return job.epilogue.activation == Activation::relu ? A{0}
                                                     : dy * static_cast<A>(job.epilogue.slope);
}

/// Σg and Σg·(x−μ) of a block.
template <class T>
void exact_gradient_sums(const GradientJob& job, const Cut& cut, const Block& block, std::int64_t c,
                         double& g_sum, double& centred_sum) {
  const T* x = static_cast<const T*>(job.x.data);
  const double mean = job.state.mean[static_cast<std::size_t>(c)];
  g_sum = 0;
  centred_sum = 0;
  for_each_element(cut, block, c, [&](std::int64_t i, std::int64_t byte, int bit) {
    const auto g = static_cast<double>(masked_gradient<T>(job, i, byte, bit));
    g_sum += g;
    centred_sum += g * (in_double(x[i]) - mean);
  });
}

/// dx of one value from g.
inline double exact_input_gradient(double x, double g, const GradientJob& job, std::int64_t c) {
  const auto i = static_cast<std::size_t>(c);
  const double gamma = job.affine.gamma.empty() ? 1.0 : job.affine.gamma[c];
  const double scale = gamma * job.state.inv_std[i];
  if (job.constant_statistics) return scale * g;
  return scale * ((g - job.a[i]) - (x - job.state.mean[i]) * job.b[i]);
}

}  // namespace evenkeel::norm
