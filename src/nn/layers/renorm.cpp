#include "nn/layers/renorm.h"

#include <algorithm>
#include <cmath>

namespace evenkeel::nn {
namespace {

/// a/b; `neutral` for 0/0.
double quotient(double a, double b, double neutral) { return a == 0 && b == 0 ? neutral : a / b; }

/// A limit that leaves one value gives that value whatever the statistics are. NaN stays NaN.
void correct(const norm::BatchNormState& batch, const norm::RunningStats& running, double eps,
             const RenormLimits& limits, const Correction& out) {
  for (std::size_t c = 0; c < batch.mean.size(); ++c) {
    const double sigma_batch = std::sqrt(batch.var[c] + eps);
    const double sigma = std::sqrt(running.var[c] + eps);
    out.r[c] =
        limits.r == 1 ? 1 : std::clamp(quotient(sigma_batch, sigma, 1), 1 / limits.r, limits.r);
    out.d[c] = limits.d == 0 ? 0
                             : std::clamp(quotient(batch.mean[c] - running.mean[c], sigma, 0),
                                          -limits.d, limits.d);
  }
}

/// (x − μ_B)/σ_B·r + d as one difference and one factor, (x − mean)·inv_std: the mean takes d in,
/// not β, so that nothing cancels after the subtraction. With r = 1 and d = 0 it is `batch`.
void merge(const norm::BatchNormState& batch, const Correction& correction,
           const norm::RunningStats& running, double eps, norm::BatchNormState& merged) {
  for (std::size_t c = 0; c < batch.mean.size(); ++c) {
    const double r = correction.r[c];
    const double d = correction.d[c];
    double scale = batch.inv_std[c] * r;
    if (scale == 0 && d != 0) {  // ε = 0 and a constant channel: x̂ = d
      const double sigma = std::sqrt(running.var[c] + eps);
      scale = sigma > 0 ? 1 / sigma : 1;
    }
    merged.mean[c] = d == 0 ? batch.mean[c] : batch.mean[c] - d / scale;
    merged.var[c] = batch.var[c] / (r * r);
    merged.inv_std[c] = scale;
  }
}

}  // namespace

RenormLimits limits_at(const RenormOptions& options, std::int64_t batches) {
  if (batches >= options.ramp_end) return {options.r_max, options.d_max};
  if (batches <= options.ramp_begin) return {};
  const double part = static_cast<double>(batches - options.ramp_begin) /
                      static_cast<double>(options.ramp_end - options.ramp_begin);
  return {1 + part * (options.r_max - 1), part * options.d_max};
}

bool renorm_forward(const norm::ConstChannelView& x, const norm::Affine& affine, double eps,
                    const RenormLimits& limits, norm::RunningStats& running,
                    const norm::Epilogue& epilogue, const norm::ChannelView& y,
                    RenormMemory& memory) {
  const auto channels = static_cast<std::size_t>(x.c);
  const norm::Moments moments{memory.scratch.subspan(0, channels),
                              memory.scratch.subspan(channels, channels),
                              memory.scratch.subspan(2 * channels, channels)};
  norm::collect(x, moments, memory.workspace);
  norm::finalize(moments, eps, memory.state);
  correct(memory.state, running, eps, limits, memory.correction);
  norm::BatchNormState merged{moments.count, moments.mean, moments.m2, memory.state.mask};
  merge(memory.state, memory.correction, running, eps, merged);
  norm::normalize(x, merged, affine, epilogue, y, memory.workspace);
  return norm::update_running(memory.state, static_cast<double>(x.count()), running);
}

void renorm_backward(const norm::ConstChannelView& x, const norm::ConstChannelView& dy,
                     const norm::Affine& affine, const norm::Epilogue& epilogue,
                     const norm::ChannelView& dx, norm::VectorView dgamma, norm::VectorView dbeta,
                     const std::optional<norm::ChannelView>& dadd, const RenormMemory& memory) {
  const auto channels = static_cast<std::size_t>(x.c);
  const norm::GradientSums sums{memory.scratch.subspan(0, channels),
                                memory.scratch.subspan(channels, channels)};
  const std::span<double> gamma = memory.scratch.subspan(2 * channels, channels);
  const auto [r, d] = memory.correction;
  for (std::size_t c = 0; c < channels; ++c) {
    gamma[c] = (affine.gamma.empty() ? 1.0 : affine.gamma[static_cast<std::int64_t>(c)]) * r[c];
  }
  norm::reduce_gradients(x, dy, memory.state, epilogue, sums, memory.workspace);
  const norm::Affine scaled{std::span<const double>(gamma), affine.beta};
  norm::propagate(x, dy, memory.state, scaled, epilogue, sums, static_cast<double>(x.count()), dx,
                  dadd, memory.workspace);
  for (std::size_t c = 0; c < channels; ++c) {
    const auto i = static_cast<std::int64_t>(c);
    const double hat = sums.g_centred[c] * memory.state.inv_std[c] * r[c];
    if (!dgamma.empty()) dgamma.add(i, d[c] == 0 ? hat : hat + d[c] * sums.g[c]);
    if (!dbeta.empty()) dbeta.add(i, sums.g[c]);
  }
}

}  // namespace evenkeel::nn
