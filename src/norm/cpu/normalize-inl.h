// The normalizing pass: ((x − hi) − lo)·scale + shift, then the epilogue, element by element.
#if defined(EVENKEEL_NORM_CPU_NORMALIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_NORMALIZE_INL_H_
#undef EVENKEEL_NORM_CPU_NORMALIZE_INL_H_
#else
#define EVENKEEL_NORM_CPU_NORMALIZE_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "norm/cpu/columns-inl.h"
#include "norm/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// The numbers of one channel in all lanes, or of as many channels as there are lanes.
struct NormalizeLanes {
  VF hi, lo, scale, shift;
};

HWY_INLINE NormalizeLanes broadcast(F32 d, const Coefficients& q, std::size_t c) {
  return {hn::Set(d, q.hi[c]), hn::Set(d, q.lo[c]), hn::Set(d, q.scale[c]), hn::Set(d, q.shift[c])};
}

HWY_INLINE NormalizeLanes blend(hn::Mask<F32> first, const NormalizeLanes& a,
                                const NormalizeLanes& b) {
  return {hn::IfThenElse(first, a.hi, b.hi), hn::IfThenElse(first, a.lo, b.lo),
          hn::IfThenElse(first, a.scale, b.scale), hn::IfThenElse(first, a.shift, b.shift)};
}

template <bool kWhole>
HWY_INLINE NormalizeLanes side_by_side(F32 d, const Coefficients& q, std::int64_t c,
                                       std::int64_t valid) {
  return {load<kWhole>(d, q.hi.data() + c, valid), load<kWhole>(d, q.lo.data() + c, valid),
          load<kWhole>(d, q.scale.data() + c, valid), load<kWhole>(d, q.shift.data() + c, valid)};
}

/// Where a row begins; the mask's bit i is that of x[i].
template <class T>
struct NormalizeAt {
  const T* x;
  const T* add;
  T* y;
  std::uint8_t* mask;
  bool stream;  ///< packs of y bypass the cache

  HWY_INLINE NormalizeAt row(std::int64_t r, std::int64_t stride, std::int64_t mask_stride) const {
    return {x + r * stride, add != nullptr ? add + r * stride : nullptr, y + r * stride,
            mask != nullptr ? mask + r * mask_stride : nullptr, stream};
  }
};

/// A vector of y; `passed` is what the activation let through.
template <bool kWhole, Activation kActivation, bool kAdd, class T>
HWY_INLINE VF normalized_vector(const NormalizeLanes& lanes, const NormalizeAt<T>& at, float slope,
                                std::int64_t i, std::int64_t valid, hn::Mask<F32>& passed) {
  const F32 d;
  const VF centred = hn::Sub(hn::Sub(load<kWhole>(d, at.x + i, valid), lanes.hi), lanes.lo);
  VF z = hn::MulAdd(centred, lanes.scale, lanes.shift);
  if constexpr (kAdd) z = hn::Add(z, load<kWhole>(d, at.add + i, valid));
  if constexpr (kActivation != Activation::none) {
    const auto blocked = hn::Le(z, hn::Zero(d));
    if constexpr (kActivation == Activation::relu) {
      z = hn::IfThenZeroElse(blocked, z);
    } else {
      z = hn::IfThenElse(blocked, hn::Mul(z, hn::Set(d, slope)), z);
    }
    passed = hn::Not(blocked);
  }
  return z;
}

/// Vectors side by side, so many that the bits of their masks make one word: single bytes of it
/// would fill the processor's store buffer.
constexpr std::int64_t kSide = 4;

/// for_each_pack() with kSide vectors at once where there are as many.
template <class T, class F>
HWY_INLINE void for_each_side(std::int64_t end, F&& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = 0;
  for (; i + kSide * lanes <= end; i += kSide * lanes) {
    f(Vectors<kSide>(), std::true_type(), i, lanes);
  }
  for_each_pack<T>(end - i, [&](auto vectors, auto whole, std::int64_t k, std::int64_t valid)
                                HWY_ATTR { f(vectors, whole, i + k, valid); });
}

/// Packs of y or one vector of it; lanes[0 …] belong to the vectors.
template <std::int64_t kVectors, bool kWhole, Activation kActivation, bool kAdd, class T>
HWY_INLINE void normalize_vectors(const Each<NormalizeLanes, kVectors>& lanes,
                                  const NormalizeAt<T>& at, float slope, std::int64_t i,
                                  std::int64_t valid) {
  constexpr std::int64_t kVectorsOfPut = kVectors < kPack<T> ? 1 : kPack<T>;
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  std::uint64_t bits = 0;
  for (std::int64_t first = 0; first < kVectors; first += kVectorsOfPut) {
    Each<VF, kVectorsOfPut> z;
    for (std::int64_t k = 0; k < kVectorsOfPut; ++k) {
      auto passed = hn::FirstN(d, 0);
      const std::int64_t v = first + k;
      z[k] = normalized_vector<kWhole, kActivation, kAdd>(lanes[v], at, slope, i + v * step, valid,
                                                          passed);
      if constexpr (kActivation != Activation::none) bits |= bits_of(d, passed) << (v * step);
    }
    put<kVectorsOfPut, kWhole>(z, d, at.y + i + first * step, valid, at.stream);
  }
  if (kActivation != Activation::none && at.mask != nullptr) {
    store_mask<kVectors, kWhole>(bits, at.mask, i, valid);
  }
}

/// The same with the same numbers for all vectors.
template <std::int64_t kVectors, bool kWhole, Activation kActivation, bool kAdd, class T>
HWY_INLINE void normalize_alike(const NormalizeLanes& lanes, const NormalizeAt<T>& at, float slope,
                                std::int64_t i, std::int64_t valid) {
  Each<NormalizeLanes, kVectors> same;
  for (NormalizeLanes& one : same) one = lanes;
  normalize_vectors<kVectors, kWhole, kActivation, kAdd>(same, at, slope, i, valid);
}

/// Fetches the line that is `ahead` values behind the one at value i.
template <class T>
HWY_INLINE void fetch_ahead(const T* x, std::int64_t i, std::int64_t ahead) {
  if (kPack < T >> 1 && i % pack_lanes<T>() != 0) return;
  if (ahead == 0) {
    fetch_further(x + i);
  } else {
    hwy::Prefetch(x + i + ahead);
  }
}

/// A row of one channel that may begin anywhere in a line and, from bit `bit` on, in its mask.
template <Activation kActivation, bool kAdd, class T>
HWY_INLINE void normalize_row_anywhere(const NormalizeLanes& lanes, const NormalizeAt<T>& at,
                                       float slope, std::int64_t length, const T* next,
                                       std::int64_t bit, bool within) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t pack = pack_lanes<T>();
  const bool masks = kActivation != Activation::none && at.mask != nullptr;
  MaskWriter mask(at.mask, bit, within);
  auto passed = hn::FirstN(d, 0);
  const auto part = [&](std::int64_t i, std::int64_t valid) HWY_ATTR {
    const VF z = normalized_vector<false, kActivation, kAdd>(lanes, at, slope, i, valid, passed);
    store_part(z, d, at.y + i, valid);
    if (masks) mask.add(d, passed, valid);
  };
  std::int64_t i = 0;
  for (std::int64_t head = lanes_before_line(at.y, length); head > 0; head -= step) {
    const std::int64_t valid = std::min(step, head);
    part(i, valid);
    i += valid;
  }
  for (; i + pack <= length; i += pack) {
    if (next != nullptr) {
      hwy::Prefetch(next + i / 2);
    } else {
      fetch_further(at.x + i);
    }
    Each<VF, kPack<T>> z;
    for (std::int64_t v = 0; v < kPack<T>; ++v) {
      z[v] =
          normalized_vector<true, kActivation, kAdd>(lanes, at, slope, i + v * step, step, passed);
      if (masks) mask.add(d, passed, step);
    }
    put_pack(z, d, at.y + i, at.stream);
  }
  for (; i < length; i += step) part(i, std::min(step, length - i));
  if (masks) mask.finish();
}

/// A row of one channel. Half of the row at `next` is fetched, unless that is null.
template <Activation kActivation, bool kAdd, class T>
HWY_INLINE void normalize_row(const NormalizeLanes& lanes, const NormalizeAt<T>& at, float slope,
                              std::int64_t length, const T* next) {
  const std::int64_t pack = pack_lanes<T>();
  for_each_side<T>(length,
                   [&](auto vectors, auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
                     constexpr std::int64_t kVectors = decltype(vectors)::value;
                     for (std::int64_t k = 0; k < kVectors / kPack<T>; ++k) {
                       if (next == nullptr) {
                         fetch_further(at.x + i + k * pack);
                       } else if (k % 2 == 0) {
                         hwy::Prefetch(next + (i + k * pack) / 2);
                       }
                     }
                     normalize_alike<kVectors, decltype(whole)::value, kActivation, kAdd>(
                         lanes, at, slope, i, valid);
                   });
}

/// Channels [0, width) of kRows neighbouring rows of many channels; c0 is the first one's number.
template <std::int64_t kRows, Activation kActivation, bool kAdd, class T>
HWY_INLINE void normalize_channels(const Coefficients& q, const NormalizeAt<T>& at, float slope,
                                   std::int64_t c0, std::int64_t width, std::int64_t stride,
                                   std::int64_t mask_stride) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t ahead = rows_ahead<T>(width) * stride;
  for_each_side<T>(width,
                   [&](auto vectors, auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
                     constexpr std::int64_t kVectors = decltype(vectors)::value;
                     constexpr bool kWhole = decltype(whole)::value;
                     if constexpr (kPack < T >> 1 && kVectors > 1 && kRows == kRowQuad) {
                       for (std::int64_t v = 0; v < kVectors; v += kPack<T>) {
                         fetch_quad(at.x + ahead + i + v * step, stride);
                       }
                     }
                     Each<NormalizeLanes, kVectors> lanes;
                     for (std::int64_t v = 0; v < kVectors; ++v) {
                       lanes[v] = side_by_side<kWhole>(d, q, c0 + i + v * step, valid);
                     }
                     for (std::int64_t r = 0; r < kRows; ++r) {
                       normalize_vectors<kVectors, kWhole, kActivation, kAdd>(
                           lanes, at.row(r, stride, mask_stride), slope, i, valid);
                     }
                   });
}

inline bool any_wide_in(const Coefficients& q, std::int64_t c0, std::int64_t c1) {
  return std::memchr(q.wide.data() + c0, 1, static_cast<std::size_t>(c1 - c0)) != nullptr;
}

/// One value of a wide channel, computed in double.
struct WideValue {
  std::int64_t channel;
  float y;
  bool passed;
};

template <class T>
inline WideValue wide_value(const NormalizeJob& job, std::int64_t c, std::int64_t offset) {
  const double x = in_double(static_cast<const T*>(job.x.data)[offset]);
  WideValue result{c, 0, true};
  result.y = epilogue_value<T>(static_cast<float>(exact_normalized(x, job, c)), job.epilogue,
                               offset, result.passed);
  return result;
}

template <class T>
inline void put_wide(const NormalizeJob& job, const WideValue& value, std::int64_t offset,
                     std::int64_t mask_row, std::int64_t bit) {
  static_cast<T*>(job.y.data)[offset] = stored<T>(value.y);
  if (job.mask == nullptr) return;
  std::uint8_t& byte = job.mask[mask_row + bit / 8];
  const auto flag = static_cast<unsigned>(1 << (bit % 8));
  byte = static_cast<std::uint8_t>(value.passed ? byte | flag : byte & ~flag);
}

template <class T>
inline NormalizeAt<T> normalize_at(const NormalizeJob& job, const Cut& cut, std::int64_t r,
                                   std::int64_t c, bool stream) {
  const std::int64_t base = cut.offset(r, c);
  return {static_cast<const T*>(job.x.data) + base,
          job.epilogue.add ? static_cast<const T*>(job.epilogue.add->data) + base : nullptr,
          static_cast<T*>(job.y.data) + base,
          job.mask != nullptr ? job.mask + cut.mask_row(r, c) + cut.mask_bit(c, 0) / 8 : nullptr,
          stream};
}

/// Channel by channel.
template <class T, Activation kActivation, bool kAdd>
void normalize_first(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                     std::int64_t row0, std::int64_t row1) {
  const Coefficients& q = job.coefficients;
  const auto slope = static_cast<float>(job.epilogue.slope);
  const bool aligned = can_stream(static_cast<const T*>(job.y.data), cut.s);
  const bool anywhere = cut.joined || (job.passage.stream && !aligned);
  for (std::int64_t r = row0; r < row1; ++r) {
    for (std::int64_t c = c0; c < c1; ++c) {
      const auto k = static_cast<std::size_t>(c);
      const std::int64_t base = cut.offset(r, c);
      if (q.wide[k] != 0) {
        for (std::int64_t i = 0; i < cut.s; ++i) {
          put_wide<T>(job, wide_value<T>(job, c, base + i), base + i, cut.mask_row(r, c),
                      cut.mask_bit(c, i));
        }
        continue;
      }
      const NormalizeAt<T> at = normalize_at<T>(job, cut, r, c, job.passage.stream);
      const T* next = job.passage.ahead != 0 ? at.x + job.passage.ahead + cut.s / 2 : nullptr;
      if (anywhere) {
        normalize_row_anywhere<kActivation, kAdd>(broadcast(F32(), q, k), at, slope, cut.s, next,
                                                  cut.joined ? cut.mask_bit(c, 0) % 8 : 0,
                                                  cut.joined);
      } else {
        normalize_row<kActivation, kAdd>(broadcast(F32(), q, k), at, slope, cut.s, next);
      }
    }
  }
}

/// Small maps, all channels of a sample as one run of values.
template <class T, Activation kActivation, bool kAdd>
void normalize_joined(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                      std::int64_t row0, std::int64_t row1) {
  const Coefficients& q = job.coefficients;
  const auto slope = static_cast<float>(job.epilogue.slope);
  const bool stream =
      job.passage.stream &&
      can_stream(static_cast<const T*>(job.y.data) + c0 * cut.s, cut.channels * cut.s);
  const auto numbers = [&](std::int64_t c)
                           HWY_ATTR { return broadcast(F32(), q, static_cast<std::size_t>(c)); };
  const bool masks = kActivation != Activation::none && job.mask != nullptr;
  const F32 d;
  for (std::int64_t r = row0; r < row1; ++r) {
    const NormalizeAt<T> at = normalize_at<T>(job, cut, r, c0, stream);
    PackWriter<T> y(at.y, stream);
    MaskWriter mask(at.mask, 0, false);
    for_each_joined_vector(
        numbers, c0, c1, cut.s,
        [&](const NormalizeLanes& lanes, auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
          constexpr bool kWhole = decltype(whole)::value;
          fetch_ahead(at.x, i, job.passage.ahead);
          auto passed = hn::FirstN(d, 0);
          const VF z =
              normalized_vector<kWhole, kActivation, kAdd>(lanes, at, slope, i, valid, passed);
          if constexpr (kWhole) {
            y.add(d, z, i);
          } else {
            y.add_part(d, z, i, valid);
          }
          if (masks) mask.add(d, passed, valid);
        });
    y.finish(d, (c1 - c0) * cut.s);
    if (masks) mask.finish();
  }
}

/// Channels [c0, c1) of rows [row0, row1).
template <class T, Activation kActivation, bool kAdd>
void normalize_rows(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  const auto slope = static_cast<float>(job.epilogue.slope);
  const bool stream =
      job.passage.stream && can_stream(static_cast<const T*>(job.y.data) + c0, cut.channels);
  const std::int64_t mask_stride = cut.mask_row_bytes();
  const auto some = [&](auto rows, std::int64_t r) HWY_ATTR {
    normalize_channels<decltype(rows)::value, kActivation, kAdd>(
        job.coefficients, normalize_at<T>(job, cut, r, c0, stream), slope, c0, c1 - c0,
        cut.channels, mask_stride);
  };
  if (cut.channels * cut.value_bytes < kLongRow) {
    for_each_together<kRowQuad>(row0, row1, some);
  } else {
    for_each_together<1>(row0, row1, some);
  }
}

/// Channels last: rows(c0, c1, row0, row1) for everything; where channels are wide, row by row,
/// with compute(row, c) before the row may be overwritten (y may be x, dx may be dy) and put(row,
/// value) behind it.
template <class Value, class Rows, class Compute, class Put>
void for_each_wide_row(const Coefficients& q, std::int64_t c0, std::int64_t c1, std::int64_t row0,
                       std::int64_t row1, Rows&& rows, Compute&& compute, Put&& put) {
  if (!any_wide_in(q, c0, c1)) {
    rows(c0, c1, row0, row1);
    return;
  }
  for (std::int64_t begin = c0; begin < c1; begin += Cut::kSlab) {
    const std::int64_t end = std::min(c1, begin + Cut::kSlab);
    if (!any_wide_in(q, begin, end)) {
      rows(begin, end, row0, row1);
      continue;
    }
    Value wide[Cut::kSlab];
    for (std::int64_t r = row0; r < row1; ++r) {
      std::size_t count = 0;
      for (std::int64_t c = begin; c < end; ++c) {
        if (q.wide[static_cast<std::size_t>(c)] != 0) wide[count++] = compute(r, c);
      }
      rows(begin, end, r, r + 1);
      for (std::size_t w = 0; w < count; ++w) put(r, wide[w]);
    }
  }
}

template <class T, Activation kActivation, bool kAdd>
void normalize_last(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  for_each_wide_row<WideValue>(
      job.coefficients, c0, c1, row0, row1,
      [&](std::int64_t begin, std::int64_t end, std::int64_t r0, std::int64_t r1) {
        normalize_rows<T, kActivation, kAdd>(job, cut, begin, end, r0, r1);
      },
      [&](std::int64_t r, std::int64_t c) { return wide_value<T>(job, c, cut.offset(r, c)); },
      [&](std::int64_t r, const WideValue& value) {
        put_wide<T>(job, value, cut.offset(r, value.channel), cut.mask_row(r, 0), value.channel);
      });
}

template <class T, Activation kActivation, bool kAdd>
void normalize_as(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                  std::int64_t row0, std::int64_t row1) {
  if (cut.last) {
    normalize_last<T, kActivation, kAdd>(job, cut, c0, c1, row0, row1);
  } else if (cut.joined && !any_wide_in(job.coefficients, c0, c1)) {
    normalize_joined<T, kActivation, kAdd>(job, cut, c0, c1, row0, row1);
  } else {
    normalize_first<T, kActivation, kAdd>(job, cut, c0, c1, row0, row1);
  }
}

template <class T>
inline void normalize(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                      std::int64_t row0, std::int64_t row1) {
  const bool add = job.epilogue.add.has_value();
  switch (job.epilogue.activation) {
    case Activation::none:
      (add ? normalize_as<T, Activation::none, true>
           : normalize_as<T, Activation::none, false>)(job, cut, c0, c1, row0, row1);
      break;
    case Activation::relu:
      (add ? normalize_as<T, Activation::relu, true>
           : normalize_as<T, Activation::relu, false>)(job, cut, c0, c1, row0, row1);
      break;
    case Activation::leaky_relu:
      (add ? normalize_as<T, Activation::leaky_relu, true>
           : normalize_as<T, Activation::leaky_relu, false>)(job, cut, c0, c1, row0, row1);
      break;
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
