// Sums of many channels side by side, channels last: row by row, in the order of memory.
#if defined(EVENKEEL_NORM_CPU_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_COLUMNS_INL_H_
#undef EVENKEEL_NORM_CPU_COLUMNS_INL_H_
#else
#define EVENKEEL_NORM_CPU_COLUMNS_INL_H_
#endif

#include <algorithm>

#include <hwy/cache_control.h>

#include "norm/cpu/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Channels whose f32 sums are kept at once; they stay in the first-level cache.
constexpr std::int64_t kWideSlab = 512;
/// Rows that are worked on side by side, so that the numbers of a channel are loaded once for all
/// of them.
constexpr std::int64_t kRowQuad = 4;
/// Rows of so many bytes lie so far apart that several of them, of several tensors, would contend
/// for the same places of the first-level cache.
constexpr std::int64_t kLongRow = 1024;
constexpr std::int64_t kVeryLongRow = 2048;

/// Calls f(rows, row) for [begin, end): kTogether rows at once, then the others; `rows` is a
/// compile-time constant.
template <std::int64_t kTogether, class F>
HWY_INLINE void for_each_together(std::int64_t begin, std::int64_t end, F&& f) {
  std::int64_t r = begin;
  if constexpr (kTogether > 1) {
    for (; r + kTogether <= end; r += kTogether) {
      f(std::integral_constant<std::int64_t, kTogether>(), r);
    }
  }
  for (; r < end; ++r) f(std::integral_constant<std::int64_t, 1>(), r);
}

/// Sums of the lanes of a block's vector columns.
struct ColumnTotals {
  static constexpr std::int64_t kPadded = kWideSlab + HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float s1[kPadded];
  HWY_ALIGN float s2[kPadded];

  void clear(std::int64_t width) {
    std::fill(s1, s1 + width, 0.0F);
    std::fill(s2, s2 + width, 0.0F);
  }
};

/// How many rows ahead the memory is asked for what comes next, in a pass over `width` values of
/// each row: far enough that it has come by then.
template <class T>
inline std::int64_t rows_ahead(std::int64_t width) {
  constexpr std::int64_t kValues = 4096 / sizeof(T);
  return std::max(kRowQuad, (kValues + width - 1) / std::max<std::int64_t>(width, 1));
}

/// Fetches a pack of each of four rows.
template <class T>
HWY_INLINE void fetch_quad(const T* p, std::int64_t stride) {
  for (std::int64_t r = 0; r < kRowQuad; ++r) hwy::Prefetch(p + r * stride);
}

/// Adds four rows to the sums of a vector column.
template <bool kWhole, class T>
HWY_INLINE void add_quad(const T* p, std::int64_t stride, std::int64_t valid, VF centre, float* s1,
                         float* s2) {
  const F32 d;
  const VF d0 = hn::Sub(load<kWhole>(d, p, valid), centre);
  const VF d1 = hn::Sub(load<kWhole>(d, p + stride, valid), centre);
  const VF d2 = hn::Sub(load<kWhole>(d, p + 2 * stride, valid), centre);
  const VF d3 = hn::Sub(load<kWhole>(d, p + 3 * stride, valid), centre);
  const VF squares01 = hn::MulAdd(d1, d1, hn::Mul(d0, d0));
  const VF squares23 = hn::MulAdd(d3, d3, hn::Mul(d2, d2));
  hn::Store(hn::Add(hn::Load(d, s1), hn::Add(hn::Add(d0, d1), hn::Add(d2, d3))), d, s1);
  hn::Store(hn::Add(hn::Load(d, s2), hn::Add(squares01, squares23)), d, s2);
}

template <bool kWhole, class T>
HWY_INLINE void add_row(const T* p, std::int64_t valid, VF centre, float* s1, float* s2) {
  const F32 d;
  const VF difference = hn::Sub(load<kWhole>(d, p, valid), centre);
  hn::Store(hn::Add(hn::Load(d, s1), difference), d, s1);
  hn::Store(hn::MulAdd(difference, difference, hn::Load(d, s2)), d, s2);
}

/// Σd and Σd² of `width` columns over `rows` rows.
template <class T>
inline void total_columns(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t width,
                          const float* centre, ColumnTotals& out) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  out.clear((width + lanes - 1) / lanes * lanes);
  const std::int64_t ahead = rows_ahead<T>(width) * stride;
  std::int64_t r = 0;
  for (; r + kRowQuad <= rows; r += kRowQuad) {
    const T* p = x + r * stride;
    std::int64_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      if (kPack<T> == 1 || j / lanes % kPack<T> == 0) fetch_quad(p + ahead + j, stride);
      add_quad<true>(p + j, stride, lanes, hn::LoadU(d, centre + j), out.s1 + j, out.s2 + j);
    }
    if (j < width) {
      add_quad<false>(p + j, stride, width - j, load_part(d, centre + j, width - j), out.s1 + j,
                      out.s2 + j);
    }
  }
  for (; r < rows; ++r) {
    const T* p = x + r * stride;
    std::int64_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      add_row<true>(p + j, lanes, hn::LoadU(d, centre + j), out.s1 + j, out.s2 + j);
    }
    if (j < width) {
      add_row<false>(p + j, width - j, load_part(d, centre + j, width - j), out.s1 + j, out.s2 + j);
    }
  }
}

/// Adds f32 values to doubles, or replaces these.
HWY_INLINE void widen(const float* from, std::int64_t lanes, bool replace, double* to) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const auto step = static_cast<std::int64_t>(hn::Lanes(dd));
  for (std::int64_t k = 0; k < lanes; k += step) {
    auto wide = hn::PromoteTo(dd, hn::LoadU(half, from + k));
    if (!replace) wide = hn::Add(hn::LoadU(dd, to + k), wide);
    hn::StoreU(wide, dd, to + k);
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
