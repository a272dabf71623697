// The numbers of rows in vectors: of one row in all lanes, or of neighbouring channels side by
// side.
#if defined(EVENKEEL_NORM_CPU_ROW_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_ROW_VEC_INL_H_
#undef EVENKEEL_NORM_CPU_ROW_VEC_INL_H_
#else
#define EVENKEEL_NORM_CPU_ROW_VEC_INL_H_
#endif

#include <algorithm>
#include <type_traits>

#include <hwy/cache_control.h>

#include "norm/cpu/columns-inl.h"
#include "norm/row_scalar.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// A row's statistics in f32.
struct RowNumbers {
  float hi, lo, inv;
};

inline RowNumbers row_numbers(const RowNormState& state, std::int64_t row) {
  const double mean = state.mean[static_cast<std::size_t>(row)];
  const auto hi = static_cast<float>(mean);
  const float lo = std::isfinite(hi) ? static_cast<float>(mean - static_cast<double>(hi)) : 0.F;
  return {hi, lo, static_cast<float>(state.inv_std[static_cast<std::size_t>(row)])};
}

/// The statistics of one row in all lanes, or of as many rows as there are lanes.
struct RowLanes {
  VF hi, lo, inv;
};

HWY_INLINE RowLanes row_lanes(F32 d, const RowNumbers& row) {
  return {hn::Set(d, row.hi), hn::Set(d, row.lo), hn::Set(d, row.inv)};
}

HWY_INLINE VF centred(const RowLanes& row, VF x) { return hn::Sub(hn::Sub(x, row.hi), row.lo); }

HWY_INLINE VF normalized(const RowLanes& row, VF x, VF gamma, VF beta) {
  return hn::MulAdd(hn::Mul(centred(row, x), row.inv), gamma, beta);
}

/// γ or β of neighbouring elements, or what stands for them where there are none.
template <bool kWhole, bool kGiven>
HWY_INLINE VF affine_lanes(F32 d, const float* values, std::int64_t i, std::int64_t valid,
                           float otherwise) {
  if constexpr (kGiven) {
    return load<kWhole>(d, values + i, valid);
  } else {
    return hn::Set(d, otherwise);
  }
}

/// Overwrites `count` neighbouring values with those of value(i, valid, whole), the vector of
/// elements from i on; `whole` is a compile-time constant. With kStream packs bypass the cache.
template <bool kStream, class T, class F>
HWY_INLINE void write_elements(T* out, std::int64_t count, F&& value) {
  constexpr std::int64_t kVectors = kPack<T>;
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t pack = pack_lanes<T>();
  std::int64_t i = 0;
  const auto part = [&](std::int64_t at, std::int64_t valid) HWY_ATTR {
    store_part(value(at, valid, std::false_type()), d, out + at, valid);
  };
  if constexpr (kStream) {
    for (std::int64_t head = lanes_before_line(out, count); head > 0; head -= lanes) {
      const std::int64_t valid = std::min(lanes, head);
      part(i, valid);
      i += valid;
    }
  }
  for (; i + pack <= count; i += pack) {
    Each<VF, kVectors> v;
    for (std::int64_t k = 0; k < kVectors; ++k) {
      v[k] = value(i + k * lanes, lanes, std::true_type());
    }
    put_pack(v, d, out + i, kStream);
  }
  if (kVectors > 1 && i + lanes <= count) {
    store_whole(value(i, lanes, std::true_type()), d, out + i);
    i += lanes;
  }
  if (i < count) part(i, count - i);
}

/// Where the first half of the row `ahead` begins to be fetched, from value i of this one on, which
/// lies at x: half as fast as this row is passed over.
template <class T>
inline const T* first_half(const Passage& passage, const T* x, std::int64_t i) {
  return passage.ahead != 0 ? x - i + passage.ahead + i / 2 : nullptr;
}

/// The same of the second half.
template <class T>
inline const T* second_half(const Passage& passage, const T* x, std::int64_t i,
                            std::int64_t length) {
  return passage.ahead != 0 ? x - i + passage.ahead + length / 2 + i / 2 : nullptr;
}

/// Fetches what belongs to the vector from value i of a run on, which begins at x: half of what
/// lies at `next` or, where that is null, what comes further on.
template <class T>
HWY_INLINE void fetch_half(const T* x, const T* next, std::int64_t i) {
  const std::int64_t vector = i / static_cast<std::int64_t>(hn::Lanes(F32()));
  if (next != nullptr) {
    if (vector % (2 * kPack<T>) == 0) hwy::Prefetch(next + i / 2);
  } else if (vector % kPack<T> == 0) {
    fetch_further(x + i);
  }
}

// ---- Channels last ----

/// The numbers of neighbouring channels, side by side.
struct ColumnNumbers {
  static constexpr std::int64_t kPadded = RowCut::kSlab + HWY_MAX_BYTES / sizeof(float);
  float hi[kPadded], lo[kPadded], inv[kPadded], gamma[kPadded], beta[kPadded];
  bool extreme[RowCut::kSlab];
  bool any_extreme = false;

  template <bool kWhole>
  HWY_INLINE RowLanes rows(F32 d, std::int64_t i, std::int64_t valid) const {
    return {load<kWhole>(d, hi + i, valid), load<kWhole>(d, lo + i, valid),
            load<kWhole>(d, inv + i, valid)};
  }
};

/// Calls f(group, first channel, end) for the groups' parts in channels [c0, c1) of a sample.
template <class F>
void for_each_group_in(const RowCut& cut, std::int64_t c0, std::int64_t c1, F&& f) {
  for (std::int64_t c = c0; c < c1;) {
    const std::int64_t group = c / cut.channels;
    const std::int64_t end = std::min(c1, (group + 1) * cut.channels);
    f(group, c, end);
    c = end;
  }
}

/// The numbers of `count` rows one after the other, and whether they are extreme. Returns whether
/// any of them is.
inline bool fill_row_numbers(const RowNormState& state, std::int64_t row, std::int64_t count,
                             float* hi, float* lo, float* inv, bool* extreme) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const auto leaves = [&](auto value, double low, double high) HWY_ATTR {
    const auto size = hn::Abs(value);
    return hn::Or(hn::Gt(size, hn::Set(dd, high)),
                  hn::And(hn::Gt(size, hn::Zero(dd)), hn::Lt(size, hn::Set(dd, low))));
  };
  bool any = false;
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto at = static_cast<std::size_t>(row + i);
    const auto mean = hn::LoadU(dd, state.mean.data() + at);
    const auto inv_std = hn::LoadU(dd, state.inv_std.data() + at);
    const auto high = hn::DemoteTo(half, mean);
    const auto wide = hn::PromoteTo(dd, high);
    const auto rest = hn::IfThenElseZero(hn::IsFinite(wide), hn::Sub(mean, wide));
    hn::StoreU(high, half, hi + i);
    hn::StoreU(hn::DemoteTo(half, rest), half, lo + i);
    hn::StoreU(hn::DemoteTo(half, inv_std), half, inv + i);
    // As extreme_statistics() says.
    const auto out = hn::Or(hn::Gt(hn::Abs(mean), hn::Set(dd, 0x1p100)),
                            hn::Or(leaves(hn::LoadU(dd, state.var.data() + at), 0x1p-120, 0x1p120),
                                   leaves(inv_std, 0x1p-60, 0x1p60)));
    const auto finite = hn::And(hn::IsFinite(mean), hn::IsFinite(inv_std));
    const bool some = !hn::AllFalse(dd, hn::And(out, finite));
    for (std::int64_t k = i; k < i + lanes; ++k) extreme[k] = some && extreme_row(state, row + k);
    any = any || some;
  }
  for (; i < count; ++i) {
    const RowNumbers numbers = row_numbers(state, row + i);
    hi[i] = numbers.hi;
    lo[i] = numbers.lo;
    inv[i] = numbers.inv;
    extreme[i] = extreme_row(state, row + i);
    any = any || extreme[i];
  }
  return any;
}

/// Of channels [c0, c1) of a sample, at most kSlab.
inline void fill_numbers(const RowNormState& state, const RowCut& cut, std::int64_t sample,
                         std::int64_t c0, std::int64_t c1, const float* gamma, const float* beta,
                         ColumnNumbers& out) {
  const std::int64_t width = c1 - c0;
  if (gamma != nullptr) {
    std::copy(gamma + c0, gamma + c1, out.gamma);
  } else {
    std::fill(out.gamma, out.gamma + width, 1.F);
  }
  if (beta != nullptr) {
    std::copy(beta + c0, beta + c1, out.beta);
  } else {
    std::fill(out.beta, out.beta + width, 0.F);
  }
  const std::int64_t first_row = sample * cut.groups;
  if (cut.channels == 1) {
    out.any_extreme =
        fill_row_numbers(state, first_row + c0, width, out.hi, out.lo, out.inv, out.extreme);
    return;
  }
  for_each_group_in(cut, c0, c1, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
    const RowNumbers numbers = row_numbers(state, first_row + group);
    const bool extreme = extreme_row(state, first_row + group);
    out.any_extreme = out.any_extreme || extreme;
    std::fill(out.hi + (begin - c0), out.hi + (end - c0), numbers.hi);
    std::fill(out.lo + (begin - c0), out.lo + (end - c0), numbers.lo);
    std::fill(out.inv + (begin - c0), out.inv + (end - c0), numbers.inv);
    std::fill(out.extreme + (begin - c0), out.extreme + (end - c0), extreme);
  });
}

/// Calls f(whole, i, valid) for the vectors that cover `width` lanes; whole is a compile-time
/// constant.
template <class F>
HWY_INLINE void for_each_column(std::int64_t width, F&& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) f(std::true_type(), i, lanes);
  if (i < width) f(std::false_type(), i, width - i);
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
