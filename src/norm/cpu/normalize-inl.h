// The normalizing pass: ((x − hi) − lo)·scale + shift, then the epilogue, element by element.
#if defined(EVENKEEL_NORM_CPU_NORMALIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_NORMALIZE_INL_H_
#undef EVENKEEL_NORM_CPU_NORMALIZE_INL_H_
#else
#define EVENKEEL_NORM_CPU_NORMALIZE_INL_H_
#endif

#include "norm/cpu/vec-inl.h"
#include "norm/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Per-channel numbers as vectors: the same in all lanes for a row of one channel, or one per lane.
template <bool kPerLane, bool kWhole>
HWY_INLINE VF per_channel(F32 d, const float* p, std::int64_t i, std::int64_t valid) {
  if constexpr (kPerLane) {
    return load<kWhole>(d, p + i, valid);
  } else {
    return hn::Set(d, *p);
  }
}

struct NormalizeRow {
  const float* x;
  const float* add;
  float* y;
  std::uint8_t* mask;
  const float *hi, *lo, *scale, *shift;
  float slope;
};

template <bool kPerLane, bool kWhole, Activation kActivation, bool kAdd>
HWY_INLINE void normalize_vector(const NormalizeRow& row, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF hi = per_channel<kPerLane, kWhole>(d, row.hi, i, valid);
  const VF lo = per_channel<kPerLane, kWhole>(d, row.lo, i, valid);
  const VF scale = per_channel<kPerLane, kWhole>(d, row.scale, i, valid);
  const VF shift = per_channel<kPerLane, kWhole>(d, row.shift, i, valid);
  const VF centred = hn::Sub(hn::Sub(load<kWhole>(d, row.x + i, valid), hi), lo);
  VF z = hn::MulAdd(centred, scale, shift);
  if constexpr (kAdd) z = hn::Add(z, load<kWhole>(d, row.add + i, valid));
  if constexpr (kActivation != Activation::none) {
    const auto blocked = hn::Le(z, hn::Zero(d));
    if constexpr (kActivation == Activation::relu) {
      z = hn::IfThenZeroElse(blocked, z);
    } else {
      z = hn::IfThenElse(blocked, hn::Mul(z, hn::Set(d, row.slope)), z);
    }
    if (row.mask != nullptr) store_mask(d, hn::Not(blocked), row.mask, i, valid);
  }
  store<kWhole>(z, d, row.y + i, valid);
}

template <bool kPerLane, Activation kActivation, bool kAdd>
HWY_INLINE void normalize_row(const NormalizeRow& row, std::int64_t length) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = 0;
  for (; i + lanes <= length; i += lanes) {
    normalize_vector<kPerLane, true, kActivation, kAdd>(row, i, lanes);
  }
  if (i < length) normalize_vector<kPerLane, false, kActivation, kAdd>(row, i, length - i);
}

/// One value of a wide channel, computed in double.
struct WideValue {
  std::int64_t channel;
  float y;
  bool passed;
};

inline WideValue wide_value(const NormalizeJob& job, std::int64_t c, std::int64_t offset) {
  const auto x = static_cast<double>(static_cast<const float*>(job.x.data)[offset]);
  WideValue result{c, 0, true};
  result.y = epilogue_value(static_cast<float>(exact_normalized(x, job, c)), job.epilogue, offset,
                            result.passed);
  return result;
}

inline void put_wide(const NormalizeJob& job, const WideValue& value, std::int64_t offset,
                     std::int64_t mask_row, std::int64_t bit) {
  static_cast<float*>(job.y.data)[offset] = value.y;
  if (job.mask == nullptr) return;
  std::uint8_t& byte = job.mask[mask_row + bit / 8];
  const auto flag = static_cast<unsigned>(1 << (bit % 8));
  byte = static_cast<std::uint8_t>(value.passed ? byte | flag : byte & ~flag);
}

template <Activation kActivation, bool kAdd>
void normalize_first(const NormalizeJob& job, const Cut& cut, std::int64_t c, std::int64_t row0,
                     std::int64_t row1) {
  const auto k = static_cast<std::size_t>(c);
  const Coefficients& q = job.coefficients;
  const auto* add = kAdd ? static_cast<const float*>(job.epilogue.add->data) : nullptr;
  for (std::int64_t r = row0; r < row1; ++r) {
    const std::int64_t base = cut.offset(r, c);
    if (q.wide[k] != 0) {
      for (std::int64_t i = 0; i < cut.s; ++i) {
        put_wide(job, wide_value(job, c, base + i), base + i, cut.mask_row(r, c), i);
      }
      continue;
    }
    const NormalizeRow row{static_cast<const float*>(job.x.data) + base,
                           kAdd ? add + base : nullptr,
                           static_cast<float*>(job.y.data) + base,
                           job.mask != nullptr ? job.mask + cut.mask_row(r, c) : nullptr,
                           &q.hi[k],
                           &q.lo[k],
                           &q.scale[k],
                           &q.shift[k],
                           job.epilogue.slope};
    normalize_row<false, kActivation, kAdd>(row, cut.s);
  }
}

template <Activation kActivation, bool kAdd>
void normalize_last(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  const auto k = static_cast<std::size_t>(c0);
  const Coefficients& q = job.coefficients;
  const auto* add = kAdd ? static_cast<const float*>(job.epilogue.add->data) : nullptr;
  WideValue wide[Cut::kSlab];
  for (std::int64_t r = row0; r < row1; ++r) {
    const std::int64_t base = cut.offset(r, c0);
    // Wide channels are computed before the row is overwritten (y may be x) and put in afterwards.
    std::size_t wide_count = 0;
    if (q.any_wide) {
      for (std::int64_t c = c0; c < c1; ++c) {
        if (q.wide[static_cast<std::size_t>(c)] != 0) {
          wide[wide_count++] = wide_value(job, c, base + c - c0);
        }
      }
    }
    const NormalizeRow row{
        static_cast<const float*>(job.x.data) + base,
        kAdd ? add + base : nullptr,
        static_cast<float*>(job.y.data) + base,
        job.mask != nullptr ? job.mask + cut.mask_row(r, c0) + c0 / 8 : nullptr,
        &q.hi[k],
        &q.lo[k],
        &q.scale[k],
        &q.shift[k],
        job.epilogue.slope};
    normalize_row<true, kActivation, kAdd>(row, c1 - c0);
    for (std::size_t w = 0; w < wide_count; ++w) {
      put_wide(job, wide[w], cut.offset(r, wide[w].channel), cut.mask_row(r, 0), wide[w].channel);
    }
  }
}

template <Activation kActivation, bool kAdd>
void normalize_as(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                  std::int64_t row0, std::int64_t row1) {
  if (cut.last) {
    normalize_last<kActivation, kAdd>(job, cut, c0, c1, row0, row1);
  } else {
    for (std::int64_t c = c0; c < c1; ++c) {
      normalize_first<kActivation, kAdd>(job, cut, c, row0, row1);
    }
  }
}

inline void normalize(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                      std::int64_t row0, std::int64_t row1) {
  const bool add = job.epilogue.add.has_value();
  switch (job.epilogue.activation) {
    case Activation::none:
      (add ? normalize_as<Activation::none, true>
           : normalize_as<Activation::none, false>)(job, cut, c0, c1, row0, row1);
      break;
    case Activation::relu:
      (add ? normalize_as<Activation::relu, true>
           : normalize_as<Activation::relu, false>)(job, cut, c0, c1, row0, row1);
      break;
    case Activation::leaky_relu:
      (add ? normalize_as<Activation::leaky_relu, true>
           : normalize_as<Activation::leaky_relu, false>)(job, cut, c0, c1, row0, row1);
      break;
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
