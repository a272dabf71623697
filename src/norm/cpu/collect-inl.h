// Statistics of channels: the sums of their blocks, added up in double.
#if defined(EVENKEEL_NORM_CPU_COLLECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_COLLECT_INL_H_
#undef EVENKEEL_NORM_CPU_COLLECT_INL_H_
#else
#define EVENKEEL_NORM_CPU_COLLECT_INL_H_
#endif

#include "norm/cpu/block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Centre, Σd and Σd² of each lane of one vector column of `rows` rows, `stride` values apart.
template <bool kWhole>
HWY_INLINE void column_sums(const float* p, std::int64_t rows, std::int64_t stride,
                            std::int64_t valid, float* mean, float* s1, float* s2) {
  const F32 d;
  const VF zero = hn::Zero(d);
  VF a0 = zero, a1 = zero, a2 = zero, a3 = zero;
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    a0 = hn::Add(a0, load<kWhole>(d, p + r * stride, valid));
    a1 = hn::Add(a1, load<kWhole>(d, p + (r + 1) * stride, valid));
    a2 = hn::Add(a2, load<kWhole>(d, p + (r + 2) * stride, valid));
    a3 = hn::Add(a3, load<kWhole>(d, p + (r + 3) * stride, valid));
  }
  for (; r < rows; ++r) a0 = hn::Add(a0, load<kWhole>(d, p + r * stride, valid));
  const VF average =
      hn::Div(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Set(d, static_cast<float>(rows)));
  const std::int64_t some = std::min<std::int64_t>(4, rows);
  VF spread = zero;
  for (r = 0; r < some; ++r) {
    spread = hn::Add(spread, hn::Abs(hn::Sub(load<kWhole>(d, p + r * stride, valid), average)));
  }
  const VF centre =
      rounded_centre(d, average, hn::Mul(spread, hn::Set(d, 1.0F / static_cast<float>(some))));
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
  const std::int64_t stride = cut.channels;
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    const float* p = x + block.row0 * stride + c0;
    const std::int64_t rows = block.row1 - block.row0;
    std::int64_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      column_sums<true>(p + j, rows, stride, lanes, mean + j, s1 + j, s2 + j);
    }
    if (j < width) {
      column_sums<false>(p + j, rows, stride, width - j, mean + j, s1 + j, s2 + j);
    }
    const auto n = static_cast<double>(block.count());
    for (std::int64_t k = 0; k < width; ++k) {
      const auto squares = static_cast<double>(s2[k]);
      if (!cut.few() && squares_in_range(squares)) {
        sums[k].add(n, static_cast<double>(mean[k]), static_cast<double>(s1[k]), squares);
      } else {
        const BlockSums exact = sums_in_double(x + cut.offset(block, c0 + k), cut.patch(block));
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
      const BlockSums part =
          block_sums<false>(data + cut.offset(block, c), cut.patch(block), cut.few());
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
