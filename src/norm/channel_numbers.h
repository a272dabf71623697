// The numbers of each channel between the passes over the tensor: sums of groups merged,
// coefficients prepared, a few channels at a time by all threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "norm/workspace.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::norm {

/// Channels whose numbers are worked out together; a slab is no more than that.
constexpr std::int64_t kChannelsAtOnce = 64;
static_assert(kChannelsAtOnce >= Cut::kSlab);

/// f(c0, c1) over all channels.
template <class F>
void for_each_few_channels(const Cut& cut, F&& f) {
  constexpr std::int64_t kCostOfChannel = 64;
  parallel_for((cut.channels + kChannelsAtOnce - 1) / kChannelsAtOnce,
               kChannelsAtOnce * (kCostOfChannel + 2 * cut.groups), [&](std::int64_t i) {
                 const std::int64_t c0 = i * kChannelsAtOnce;
                 f(c0, std::min(cut.channels, c0 + kChannelsAtOnce));
               });
}

/// The partial sums of channels [c0, c1), at most kChannelsAtOnce, merged group after group.
using ChannelTotals = std::array<ShiftedSums, static_cast<std::size_t>(kChannelsAtOnce)>;
ChannelTotals merge_groups(const Cut& cut, const Scratch& scratch, std::int64_t c0,
                           std::int64_t c1);

/// Splits mean into hi + lo and rounds scale and shift, for channels [c0, c1).
void prepare(const BatchNormState& state, const Affine& affine, std::int64_t c0, std::int64_t c1,
             Coefficients& q);
/// For all channels.
void prepare_all(const Cut& cut, const BatchNormState& state, const Affine& affine,
                 Coefficients& q);

/// The partial sums of the gradients of channels [c0, c1), added group after group.
void sum_groups(const Cut& cut, const Scratch& scratch, const GradientSums& sums, std::int64_t c0,
                std::int64_t c1);
/// a = Σg/m and b = Σg(x−μ)/m·inv_std² for channels [c0, c1).
void prepare_gradient(const GradientSums& sums, const BatchNormState& state, double count,
                      std::int64_t c0, std::int64_t c1, Scratch& scratch);

}  // namespace evenkeel::norm
