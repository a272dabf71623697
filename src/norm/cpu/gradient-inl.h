// What both passes of the backward direction read: x, dy, the mask, and where the values are
// centred.
#if defined(EVENKEEL_NORM_CPU_GRADIENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#undef EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#else
#define EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#endif

#include "norm/cpu/vec-inl.h"
#include "norm/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Where a vector of a row begins; the mask's bit i + bit is that of x[i].
template <class T>
struct GradientAt {
  const T *x, *dy;
  const std::uint8_t* mask;
  T *dx, *dadd;      // propagate only
  bool stream;       // packs of dx and dadd bypass the cache
  std::int64_t bit;  // 0 unless channels are joined

  HWY_INLINE GradientAt row(std::int64_t r, std::int64_t stride, std::int64_t mask_stride) const {
    return {x + r * stride,
            dy + r * stride,
            mask != nullptr ? mask + r * mask_stride : nullptr,
            dx != nullptr ? dx + r * stride : nullptr,
            dadd != nullptr ? dadd + r * stride : nullptr,
            stream,
            bit};
  }
};

/// Fetches what belongs to the `lines` lines of x and dy from i on: half as many, `ahead` values
/// behind the middle of the way to i, or, where that is 0, what comes further on.
template <std::int64_t kLines, class T>
HWY_INLINE void fetch_pair(const GradientAt<T>& at, std::int64_t i, std::int64_t ahead) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  if (ahead == 0) {
    for (std::int64_t line = 0; line < kLines; ++line) {
      fetch_further(at.x + i + line * kLine);
      fetch_further(at.dy + i + line * kLine);
    }
    return;
  }
  for (std::int64_t line = 0; line < std::max<std::int64_t>(1, kLines / 2); ++line) {
    hwy::Prefetch(at.x + i / 2 + ahead + line * kLine);
    hwy::Prefetch(at.dy + i / 2 + ahead + line * kLine);
  }
}

template <class T>
inline GradientAt<T> gradient_at(const GradientJob& job, const Cut& cut, std::int64_t r,
                                 std::int64_t c, bool stream = false) {
  const std::int64_t base = cut.offset(r, c);
  GradientAt<T> at{static_cast<const T*>(job.x.data) + base,
                   static_cast<const T*>(job.dy.data) + base,
                   nullptr,
                   nullptr,
                   nullptr,
                   stream,
                   0};
  if (job.epilogue.activation != Activation::none) {
    at.mask = job.state.mask.data() + cut.mask_row(r, c) + cut.mask_bit(c, 0) / 8;
    at.bit = cut.joined ? cut.mask_bit(c, 0) % 8 : 0;
  }
  if (job.dx.data != nullptr) at.dx = static_cast<T*>(job.dx.data) + base;
  if (job.dadd != nullptr && job.dadd->has_value()) {
    at.dadd = static_cast<T*>((*job.dadd)->data) + base;
  }
  return at;
}

/// The numbers of one channel in all lanes, or of as many channels as there are lanes.
struct CentreLanes {
  VF hi, lo;
};

HWY_INLINE CentreLanes centre_of(F32 d, const GradientJob& job, std::size_t c) {
  return {hn::Set(d, job.coefficients.hi[c]), hn::Set(d, job.coefficients.lo[c])};
}

template <bool kWhole>
HWY_INLINE CentreLanes centres_of(F32 d, const GradientJob& job, std::int64_t c,
                                  std::int64_t valid) {
  return {load<kWhole>(d, job.coefficients.hi.data() + c, valid),
          load<kWhole>(d, job.coefficients.lo.data() + c, valid)};
}

/// dy behind the activation; with kAnywhere i + bit need not be a multiple of the lanes.
template <bool kWhole, Activation kActivation, bool kAnywhere = false, class T>
HWY_INLINE VF masked(const GradientAt<T>& at, float slope, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF dy = load<kWhole>(d, at.dy + i, valid);
  if constexpr (kActivation == Activation::none) {
    return dy;
  } else {
    const auto passed = kAnywhere ? load_mask_at(d, at.mask, at.bit + i) : load_mask(d, at.mask, i);
    if constexpr (kActivation == Activation::relu) return hn::IfThenElseZero(passed, dy);
    return hn::IfThenElse(passed, dy, hn::Mul(dy, hn::Set(d, slope)));
  }
}

template <bool kWhole, class T>
HWY_INLINE VF centred(const CentreLanes& lanes, const GradientAt<T>& at, std::int64_t i,
                      std::int64_t valid) {
  return hn::Sub(hn::Sub(load<kWhole>(F32(), at.x + i, valid), lanes.hi), lanes.lo);
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
