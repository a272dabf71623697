// Statistics of rows: the sums of their blocks, added up in double.
#if defined(EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_
#undef EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_
#else
#define EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_
#endif

#include <algorithm>

#include "norm/cpu/collect-inl.h"
#include "norm/cpu/row_vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Σx² of a patch.
template <class T>
inline double square_sum(const T* x, const Patch& patch, bool few) {
  const F32 d;
  VF sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for_each_vector<true>(
      x, patch, [&](int a, VF v, std::int64_t /*valid*/) { sum[a] = hn::MulAdd(v, v, sum[a]); });
  const double squares = sum_of(d, hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])));
  if (!few && squares_in_range(squares)) return squares;
  return exact_squares(x, patch);
}

/// A part of a row whose values lie one after the other; its blocks are measured from one centre
/// where there are several. Fetches half of the row `ahead` values behind it.
template <class T>
inline ShiftedSums contiguous_sums(const T* row, const Range& part, Centre centre, bool few,
                                   std::int64_t ahead) {
  const bool several = part.size() > RowCut::kBlockValues;
  float about = 0;
  if (several && centre == Centre::mean) {
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
    about = centre_of_places(kPlaces, lanes, [&](std::int64_t i) {
      return row + part.begin + i * (part.size() - lanes) / kPlaces;
    });
  }
  ShiftedSums sums;
  for (std::int64_t i = part.begin; i < part.end; i += RowCut::kBlockValues) {
    const std::int64_t length = std::min(RowCut::kBlockValues, part.end - i);
    const Patch patch{1, length, length};
    const auto count = static_cast<double>(length);
    if (centre == Centre::zero) {
      sums.add(count, 0, 0, square_sum(row + i, patch, few));
      continue;
    }
    const T* next = ahead != 0 ? row + ahead + i / 2 : nullptr;
    const BlockSums block = several ? sums_about(row + i, patch, about, next)
                                    : block_sums<true>(row + i, patch, few, next);
    sums.add(count, block.centre, block.s1, block.s2);
  }
  return sums;
}

// ---- Channels last ----

/// Centres of neighbouring channels, as rounded_centre() makes them, from a few positions of many.
template <class T>
inline void position_centres(const T* x, std::int64_t positions, std::int64_t stride,
                             std::int64_t width, float* centre) {
  constexpr std::int64_t kSamples = 8;
  const F32 d;
  const std::int64_t count = std::min(kSamples, positions);
  const VF share = hn::Set(d, 1.0F / static_cast<float>(count));
  for_each_column(width, [&](auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
    constexpr bool kWhole = decltype(whole)::value;
    const auto sample = [&](std::int64_t k) HWY_ATTR {
      return load<kWhole>(d, x + k * positions / count * stride + i, valid);
    };
    VF sum = hn::Zero(d), spread = hn::Zero(d);
    for (std::int64_t k = 0; k < count; ++k) sum = hn::Add(sum, sample(k));
    const VF mean = hn::Mul(sum, share);
    for (std::int64_t k = 0; k < count; ++k) {
      spread = hn::Add(spread, hn::Abs(hn::Sub(sample(k), mean)));
    }
    store<kWhole>(rounded_centre(d, mean, hn::Mul(spread, share)), d, centre + i, valid);
  });
}

/// Sums of channels [c0, c1) of a sample, at most kSlab, over a range of positions: each channel's
/// as batch norm takes them, which are added up by group. sums[0] is the sample's group `group0`.
template <class T>
inline void add_slab(const ConstRowView& x, const RowCut& cut, std::int64_t sample, std::int64_t c0,
                     std::int64_t c1, const Range& positions, std::int64_t group0,
                     ShiftedSums* sums) {
  const std::int64_t stride = cut.sample_channels();
  const std::int64_t width = c1 - c0;
  const T* data = static_cast<const T*>(x.data) + cut.offset(sample, c0, positions.begin);
  float centre[RowCut::kSlab];
  position_centres(data, positions.size(), stride, width, centre);
  const ConstChannelView part{data, x.dtype, Layout::channels_last, 1, stride, positions.size()};
  Cut blocks(part);
  blocks.blocks_per_group = blocks.blocks;
  blocks.own_mean = false;
  double pivot[RowCut::kSlab], first[RowCut::kSlab], second[RowCut::kSlab];
  collect_last<T>({part, {centre, static_cast<std::size_t>(width)}}, blocks, 0, width, 0,
                  {pivot, first, second});
  const auto count = static_cast<double>(positions.size());
  if (cut.channels == 1) {
    for (std::int64_t k = 0; k < width; ++k) {
      sums[c0 + k - group0] = {count, pivot[k], first[k], second[k]};
    }
    return;
  }
  for_each_group_in(cut, c0, c1, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
    ShiftedSums& row = sums[group - group0];
    for (std::int64_t k = begin - c0; k < end - c0; ++k) {
      row.add(count, pivot[k], first[k], second[k]);
    }
  });
}

/// Σx² from sums about a mean.
inline ShiftedSums about_zero(const ShiftedSums& sums) {
  const double squares = sums.second + (2 * sums.first + sums.count * sums.pivot) * sums.pivot;
  return {sums.count, 0, 0, squares};
}

template <class T>
inline void collect_slabs(const ConstRowView& x, const RowCut& cut, Centre centre,
                          std::int64_t unit, const Range& positions, ShiftedSums* sums) {
  const Range groups = cut.groups_of(unit);
  std::fill(sums, sums + groups.size(), ShiftedSums{});
  const std::int64_t end = groups.end * cut.channels;
  for (std::int64_t c = groups.begin * cut.channels; c < end; c += RowCut::kSlab) {
    add_slab<T>(x, cut, cut.sample_of(unit), c, std::min(end, c + RowCut::kSlab), positions,
                groups.begin, sums);
  }
  if (centre == Centre::mean) return;
  std::transform(sums, sums + groups.size(), sums, about_zero);
  for (std::int64_t g = 0; g < groups.size(); ++g) {
    if (std::isfinite(sums[g].second)) continue;  // about an infinite mean there is no difference
    const std::int64_t channel = (groups.begin + g) * cut.channels;
    const T* data =
        static_cast<const T*>(x.data) + cut.offset(cut.sample_of(unit), channel, positions.begin);
    sums[g].second = exact_squares(data, {positions.size(), cut.sample_channels(), cut.channels});
  }
}

template <class T>
inline void collect_rows(const ConstRowView& x, const RowCut& cut, Centre centre, std::int64_t unit,
                         std::int64_t part, std::int64_t ahead, ShiftedSums* sums) {
  const Range range = cut.part(part);
  if (!cut.contiguous()) {
    collect_slabs<T>(x, cut, centre, unit, range, sums);
    return;
  }
  sums[0] = contiguous_sums(static_cast<const T*>(x.data) + unit * cut.length(), range, centre,
                            cut.few(), ahead);
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
