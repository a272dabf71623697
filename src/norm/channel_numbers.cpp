#include "norm/channel_numbers.h"

#include <cmath>

namespace evenkeel::norm {

ChannelTotals merge_groups(const Cut& cut, const Scratch& scratch, std::int64_t c0,
                           std::int64_t c1) {
  const auto channels = static_cast<std::size_t>(c1 - c0);
  const double* pivot = scratch.partial_a.data() + c0;
  const auto finite = [](double value) { return std::isfinite(value); };
  bool alike = std::all_of(pivot, pivot + channels, finite);
  for (std::int64_t g = 1; g < cut.groups && alike; ++g) {
    alike = std::equal(pivot, pivot + channels, pivot + g * cut.channels);
  }
  ChannelTotals totals;
  for (std::int64_t g = 0; g < cut.groups; ++g) {
    const double count = scratch.group_count[static_cast<std::size_t>(g)];
    const auto base = static_cast<std::size_t>(g * cut.channels + c0);
    for (std::size_t k = 0; k < channels; ++k) {
      const std::size_t i = base + k;
      if (alike && g > 0) {  // what add() comes to
        totals[k].count += count;
        totals[k].first += scratch.partial_b[i];
        totals[k].second += scratch.partial_c[i];
      } else {
        totals[k].add(count, scratch.partial_a[i], scratch.partial_b[i], scratch.partial_c[i]);
      }
    }
  }
  return totals;
}

void prepare(const BatchNormState& state, const Affine& affine, std::int64_t c0, std::int64_t c1,
             Coefficients& q) {
  for (std::int64_t c = c0; c < c1; ++c) {
    const auto i = static_cast<std::size_t>(c);
    const double mean = state.mean[i];
    const double inv_std = state.inv_std[i];
    const double scale = inv_std * (affine.gamma.empty() ? 1.0 : affine.gamma[c]);
    const double shift = affine.beta.empty() ? 0.0 : affine.beta[c];
    q.hi[i] = static_cast<float>(mean);
    q.lo[i] =
        std::isfinite(q.hi[i]) ? static_cast<float>(mean - static_cast<double>(q.hi[i])) : 0.F;
    q.scale[i] = static_cast<float>(scale);
    q.shift[i] = static_cast<float>(shift);
    const bool finite = std::isfinite(mean) && std::isfinite(inv_std);
    const bool extreme = extreme_statistics(mean, state.var[i], inv_std);
    const bool wide =
        extreme ||
        (finite && (leaves_f32_range(scale, 0x1p-100, 0x1p100) || std::abs(shift) > 0x1p120));
    q.wide[i] = wide ? 1 : 0;
    q.extreme[i] = extreme ? 1 : 0;
  }
}

void prepare_all(const Cut& cut, const BatchNormState& state, const Affine& affine,
                 Coefficients& q) {
  for_each_few_channels(
      cut, [&](std::int64_t c0, std::int64_t c1) { prepare(state, affine, c0, c1, q); });
}

void prepare_gradient(const GradientSums& sums, const BatchNormState& state, double count,
                      std::int64_t c0, std::int64_t c1, Scratch& scratch) {
  for (auto i = static_cast<std::size_t>(c0); i < static_cast<std::size_t>(c1); ++i) {
    const double a = count > 0 ? sums.g[i] / count : 0.0;
    const double b =
        count > 0 ? sums.g_centred[i] / count * state.inv_std[i] * state.inv_std[i] : 0.0;
    scratch.a[i] = a;
    scratch.b[i] = b;
    scratch.a_hi[i] = static_cast<float>(a);
    scratch.a_lo[i] = std::isfinite(scratch.a_hi[i])
                          ? static_cast<float>(a - static_cast<double>(scratch.a_hi[i]))
                          : 0.F;
    scratch.b_f32[i] = static_cast<float>(b);
    const bool few = count > 0 && count <= static_cast<double>(Cut::kFewValues);
    if (few || (std::isfinite(b) && std::abs(b) > 0x1p100)) scratch.coefficients.wide[i] = 1;
  }
}

void sum_groups(const Cut& cut, const Scratch& scratch, const GradientSums& sums, std::int64_t c0,
                std::int64_t c1) {
  const auto begin = static_cast<std::size_t>(c0), end = static_cast<std::size_t>(c1);
  std::fill(sums.g.begin() + c0, sums.g.begin() + c1, 0.0);
  std::fill(sums.g_centred.begin() + c0, sums.g_centred.begin() + c1, 0.0);
  for (std::int64_t group = 0; group < cut.groups; ++group) {
    const auto base = static_cast<std::size_t>(group * cut.channels);
    for (std::size_t c = begin; c < end; ++c) {
      sums.g[c] += scratch.partial_a[base + c];
      sums.g_centred[c] += scratch.partial_b[base + c];
    }
  }
}

}  // namespace evenkeel::norm
