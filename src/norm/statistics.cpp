// Phases on the per-channel numbers alone: combine, finalize, running averages, affine gradients.
#include <evenkeel/core/error.h>

#include <algorithm>
#include <cmath>

#include "norm/checks.h"
#include "norm/cut.h"
#include "norm/statistics.h"

namespace evenkeel::norm {

void finalize_channel(double count, double mean, double m2, double eps, BatchNormState& state,
                      std::size_t c) {
  const double var = m2 / count;
  state.mean[c] = mean;
  state.var[c] = var;
  state.inv_std[c] = inverse_std(var, eps);
}

double inverse_std(double var, double eps) {
  const double total = var + eps;
  return total == 0 ? 0.0 : 1.0 / std::sqrt(total);
}

void combine(const Moments& into, const Moments& other) {
  const std::size_t channels = into.count.size();
  for (const auto& span : {into.mean, into.m2, other.count, other.mean, other.m2}) {
    if (span.size() != channels) {
      fail<ShapeError>("[batch_norm] expected moments of {} channels, got {}", channels,
                       span.size());
    }
  }
  for (const auto& span :
       {into.count, into.mean, into.m2, other.count, other.mean, other.m2}) {
    check_data(span, "the moments");
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const double n = other.count[c];
    const double total = into.count[c] + n;
    if (n == 0) continue;
    if (into.count[c] == 0) {
      into.count[c] = n;
      into.mean[c] = other.mean[c];
      into.m2[c] = other.m2[c];
      continue;
    }
    const double delta = other.mean[c] - into.mean[c];
    into.m2[c] += other.m2[c] + delta * delta * (into.count[c] * n / total);
    into.mean[c] += delta * (n / total);
    into.count[c] = total;
  }
}

void finalize(const Moments& moments, double eps, BatchNormState& state) {
  check_eps(eps);
  const std::size_t channels = moments.count.size();
  for (const std::size_t size : {moments.mean.size(), moments.m2.size(), state.mean.size(),
                                 state.var.size(), state.inv_std.size()}) {
    if (size != channels) {
      fail<ShapeError>("[batch_norm] expected {} channels in moments and state, got {}", channels,
                       size);
    }
  }
  for (const auto& span : {moments.count, moments.mean, moments.m2}) check_data(span, "the moments");
  for (const auto& span : {state.mean, state.var, state.inv_std}) check_data(span, "the state");
  for (const double count : moments.count) {
    if (!(count > 1)) {
      fail<ShapeError>(
          "[batch_norm] expected more than one value per channel when training, got {}; use eval(), "
          "a larger batch, or drop_last",
          count);
    }
  }
  for (std::size_t c = 0; c < channels; ++c) {
    finalize_channel(moments.count[c], moments.mean[c], moments.m2[c], eps, state, c);
  }
}

bool update_running(const BatchNormState& state, double count, RunningStats& running) {
  check_running(state.mean.size(), running);
  if (state.var.size() != state.mean.size()) {
    fail<ShapeError>("[batch_norm] expected a state of {} channels, got {} variances",
                     state.mean.size(), state.var.size());
  }
  check_data(state.mean, "state.mean");
  check_data(state.var, "state.var");
  if (!(count > 1)) {
    fail<ShapeError>("[batch_norm] expected statistics of more than one value per channel, got {}",
                     count);
  }
  if (running.refuse_non_finite) {
    const auto finite = [](double v) { return std::isfinite(v); };
    if (!std::ranges::all_of(state.mean, finite) || !std::ranges::all_of(state.var, finite)) {
      return false;
    }
  }
  const double weight =
      running.momentum ? *running.momentum : 1.0 / static_cast<double>(*running.batches + 1);
  const double correction = running.unbiased ? count / (count - 1) : 1.0;
  // Weight 0 keeps and weight 1 replaces a value whatever the other one is (0·NaN is NaN).
  const auto fold = [weight](double old, double fresh) {
    if (weight == 0) return old;
    if (weight == 1) return fresh;
    return (1 - weight) * old + weight * fresh;
  };
  for (std::size_t c = 0; c < running.mean.size(); ++c) {
    running.mean[c] = fold(running.mean[c], state.mean[c]);
    running.var[c] = fold(running.var[c], state.var[c] * correction);
  }
  if (running.batches != nullptr) ++*running.batches;
  return true;
}

void accumulate_affine_gradients(const BatchNormState& state, const GradientSums& sums,
                                 VectorView dgamma, VectorView dbeta) {
  const std::size_t channels = sums.g.size();
  if (sums.g_centred.size() != channels || state.inv_std.size() != channels) {
    fail<ShapeError>("[batch_norm] expected sums and state of {} channels, got {} and {}", channels,
                     sums.g_centred.size(), state.inv_std.size());
  }
  if ((!dgamma.empty() && dgamma.size() != channels) ||
      (!dbeta.empty() && dbeta.size() != channels)) {
    fail<ShapeError>("[batch_norm] expected gradients of {} channels, got {} and {}", channels,
                     dgamma.size(), dbeta.size());
  }
  for (const auto& span : {sums.g, sums.g_centred, state.inv_std}) check_data(span, "sums and state");
  if ((!dgamma.empty() && dgamma.data() == nullptr) || (!dbeta.empty() && dbeta.data() == nullptr)) {
    fail<ShapeError>("[batch_norm] expected {} values of dgamma and dbeta, got a null pointer", channels);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const auto i = static_cast<std::int64_t>(c);
    if (!dgamma.empty()) dgamma.add(i, sums.g_centred[c] * state.inv_std[c]);
    if (!dbeta.empty()) dbeta.add(i, sums.g[c]);
  }
}

}  // namespace evenkeel::norm
