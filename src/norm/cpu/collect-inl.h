// Statistics of blocks: first the block's mean, then the sums of the differences and their squares, in
// f32 lanes with short chains; blocks are added up in double.
#if defined(EVENKEEL_NORM_CPU_COLLECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_COLLECT_INL_H_
#undef EVENKEEL_NORM_CPU_COLLECT_INL_H_
#else
#define EVENKEEL_NORM_CPU_COLLECT_INL_H_
#endif

#include <algorithm>

#include "norm/cpu/vec-inl.h"
#include "norm/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// The squares of f32 differences keep their digits while their sum stays in this range; outside it
/// (or NaN) the block is done again in double.
HWY_INLINE bool squares_in_range(double m2) { return m2 >= 1e-25 && m2 <= 1e36; }

/// All values of the block are the same: exact without sums, and common (padding, dead channels).
inline bool is_constant(const float* x, const Cut& cut, const Block& block, std::int64_t c) {
  const float first = x[cut.offset(block.row0, c) + block.s0];
  bool same = true;
  for (std::int64_t row = block.row0; row < block.row1 && same; ++row) {
    const float* p = x + cut.offset(row, c);
    for (std::int64_t i = block.s0; i < block.s1; ++i) same = same && p[i] == first;
  }
  return same;
}

/// Sums of a block about `centre`.
struct BlockSums {
  double centre, s1, s2;
};

inline BlockSums sums_in_double(const float* x, const Cut& cut, const Block& block,
                                std::int64_t c) {
  if (is_constant(x, cut, block, c)) {
    return {static_cast<double>(x[cut.offset(block.row0, c) + block.s0]), 0, 0};
  }
  const MeanAndM2 exact = exact_moments(x, cut, block, c);
  return {exact.mean, 0, exact.m2};
}

/// Applies f(accumulator index, vector, valid lanes) to every vector of a channels-first block; four
/// accumulators in turn keep the chains short.
template <class F>
HWY_INLINE void for_each_vector(const float* x, const Cut& cut, const Block& block, std::int64_t c,
                                F&& f) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t length = block.s1 - block.s0;
  for (std::int64_t row = block.row0; row < block.row1; ++row) {
    const float* p = x + cut.offset(row, c) + block.s0;
    std::int64_t i = 0;
    for (; i + 4 * lanes <= length; i += 4 * lanes) {
      f(0, hn::LoadU(d, p + i), lanes);
      f(1, hn::LoadU(d, p + i + lanes), lanes);
      f(2, hn::LoadU(d, p + i + 2 * lanes), lanes);
      f(3, hn::LoadU(d, p + i + 3 * lanes), lanes);
    }
    for (; i + lanes <= length; i += lanes) f(0, hn::LoadU(d, p + i), lanes);
    if (i < length) f(1, load_part(d, p + i, length - i), length - i);
  }
}

/// The mean rounded to a coarse grid, a fraction of the spread that a few values show: close enough to
/// centre by, with so few digits that differences of values with few digits stay exact.
HWY_INLINE VF rounded_centre(F32 d, VF mean, VF spread) {
  const hn::RebindToUnsigned<F32> du;
  const VF power = hn::And(spread, hn::BitCast(d, hn::Set(du, 0x7f800000u)));
  const VF grid = hn::Mul(power, hn::Set(d, 0.25F));
  const VF steps = hn::Div(mean, grid);
  const auto useful = hn::Lt(hn::Abs(steps), hn::Set(d, 4194304.0F));  // false for NaN and infinity
  return hn::IfThenElse(useful, hn::Mul(hn::Round(steps), grid), mean);
}

inline BlockSums block_sums_first(const float* x, const Cut& cut, const Block& block,
                                  std::int64_t c) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto count = static_cast<double>(block.count());
  const VF zero = hn::Zero(d);
  VF sum[4] = {zero, zero, zero, zero};
  for_each_vector(x, cut, block, c,
                  [&](int a, VF v, std::int64_t) { sum[a] = hn::Add(sum[a], v); });
  const VF total = hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
  // The spread of the first values of the block.
  const std::int64_t some = std::min(lanes, block.s1 - block.s0);
  const VF mean = hn::Set(d, static_cast<float>(sum_of(d, total) / count));
  VF deviation = hn::Abs(hn::Sub(load_part(d, x + cut.offset(block.row0, c) + block.s0, some), mean));
  deviation = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(some)), deviation);
  const VF spread =
      hn::Mul(hn::SumOfLanes(d, deviation), hn::Set(d, 1.0F / static_cast<float>(some)));
  const VF centre = rounded_centre(d, mean, spread);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  for_each_vector(x, cut, block, c, [&](int a, VF v, std::int64_t valid) {
    VF difference = hn::Sub(v, centre);
    if (valid < lanes) {
      difference = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(valid)), difference);
    }
    s1[a] = hn::Add(s1[a], difference);
    s2[a] = hn::MulAdd(difference, difference, s2[a]);
  });
  const double rest = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  const double squares = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
  if (cut.few() || !squares_in_range(squares)) return sums_in_double(x, cut, block, c);
  return {static_cast<double>(hn::GetLane(centre)), rest, squares};
}

/// Means, Σd and Σd² of one vector column of a channels-last block.
template <bool kWhole>
HWY_INLINE void column_sums(const float* x, const Cut& cut, const Block& block, std::int64_t c,
                            std::int64_t valid, float* mean, float* s1, float* s2) {
  const F32 d;
  const VF zero = hn::Zero(d);
  const std::int64_t stride = cut.channels;
  const float* p = x + block.row0 * stride + c;
  const std::int64_t rows = block.row1 - block.row0;
  VF a0 = zero, a1 = zero, a2 = zero, a3 = zero;
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    a0 = hn::Add(a0, load<kWhole>(d, p + r * stride, valid));
    a1 = hn::Add(a1, load<kWhole>(d, p + (r + 1) * stride, valid));
    a2 = hn::Add(a2, load<kWhole>(d, p + (r + 2) * stride, valid));
    a3 = hn::Add(a3, load<kWhole>(d, p + (r + 3) * stride, valid));
  }
  for (; r < rows; ++r) a0 = hn::Add(a0, load<kWhole>(d, p + r * stride, valid));
  const VF average = hn::Div(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)),
                             hn::Set(d, static_cast<float>(rows)));
  const std::int64_t some = std::min<std::int64_t>(4, rows);
  VF spread = zero;
  for (r = 0; r < some; ++r) {
    spread = hn::Add(spread, hn::Abs(hn::Sub(load<kWhole>(d, p + r * stride, valid), average)));
  }
  const VF centre = rounded_centre(
      d, average, hn::Mul(spread, hn::Set(d, 1.0F / static_cast<float>(some))));
  VF b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  a0 = a1 = a2 = a3 = zero;
  for (r = 0; r + 4 <= rows; r += 4) {
    const VF d0 = hn::Sub(load<kWhole>(d, p + r * stride, valid), centre);
    const VF d1 = hn::Sub(load<kWhole>(d, p + (r + 1) * stride, valid), centre);
    const VF d2 = hn::Sub(load<kWhole>(d, p + (r + 2) * stride, valid), centre);
    const VF d3 = hn::Sub(load<kWhole>(d, p + (r + 3) * stride, valid), centre);
    a0 = hn::Add(a0, d0);
    a1 = hn::Add(a1, d1);
    a2 = hn::Add(a2, d2);
    a3 = hn::Add(a3, d3);
    b0 = hn::MulAdd(d0, d0, b0);
    b1 = hn::MulAdd(d1, d1, b1);
    b2 = hn::MulAdd(d2, d2, b2);
    b3 = hn::MulAdd(d3, d3, b3);
  }
  for (; r < rows; ++r) {
    const VF d0 = hn::Sub(load<kWhole>(d, p + r * stride, valid), centre);
    a0 = hn::Add(a0, d0);
    b0 = hn::MulAdd(d0, d0, b0);
  }
  hn::StoreU(centre, d, mean);
  hn::StoreU(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), d, s1);
  hn::StoreU(hn::Add(hn::Add(b0, b1), hn::Add(b2, b3)), d, s2);
}

/// Statistics of one group of blocks for a slab of channels, channels last.
inline void collect_last(const float* x, const Cut& cut, std::int64_t c0, std::int64_t c1,
                         std::int64_t group, double* pivot, double* first, double* second) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  constexpr std::int64_t kPadded = Cut::kSlab + HWY_MAX_BYTES / sizeof(float);
  float mean[kPadded], s1[kPadded], s2[kPadded];
  ShiftedSums sums[Cut::kSlab];
  const std::int64_t width = c1 - c0;
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    std::int64_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      column_sums<true>(x, cut, block, c0 + j, lanes, mean + j, s1 + j, s2 + j);
    }
    if (j < width) {
      column_sums<false>(x, cut, block, c0 + j, width - j, mean + j, s1 + j, s2 + j);
    }
    const auto n = static_cast<double>(block.count());
    for (std::int64_t k = 0; k < width; ++k) {
      const auto squares = static_cast<double>(s2[k]);
      if (!cut.few() && squares_in_range(squares)) {
        sums[k].add(n, static_cast<double>(mean[k]), static_cast<double>(s1[k]), squares);
      } else {
        const BlockSums exact = sums_in_double(x, cut, block, c0 + k);
        sums[k].add(n, exact.centre, exact.s1, exact.s2);
      }
    }
  }
  for (std::int64_t k = 0; k < width; ++k) {
    pivot[c0 + k] = sums[k].pivot;
    first[c0 + k] = sums[k].first;
    second[c0 + k] = sums[k].second;
  }
}

inline void collect(const ConstChannelView& x, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t group, double* pivot, double* first, double* second) {
  const float* data = static_cast<const float*>(x.data);
  if (cut.last) {
    collect_last(data, cut, c0, c1, group, pivot, first, second);
    return;
  }
  for (std::int64_t c = c0; c < c1; ++c) {
    ShiftedSums sums;
    for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
      const Block block = cut.block(b);
      const BlockSums part = block_sums_first(data, cut, block, c);
      sums.add(static_cast<double>(block.count()), part.centre, part.s1, part.s2);
    }
    pivot[c] = sums.pivot;
    first[c] = sums.first;
    second[c] = sums.second;
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
