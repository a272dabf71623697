// Loads, stores and mask bits of whole and partial vectors. Included once per instruction set.
#if defined(EVENKEEL_NORM_CPU_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_VEC_INL_H_
#undef EVENKEEL_NORM_CPU_VEC_INL_H_
#else
#define EVENKEEL_NORM_CPU_VEC_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F32 = hn::ScalableTag<float>;
using VF = hn::Vec<F32>;

/// Whether masked loads and stores touch only the lanes they name. Elsewhere a copy on the stack
/// stands in, so that nothing outside a row is read or written.
#undef EVENKEEL_EXACT_MASKS
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
#define EVENKEEL_EXACT_MASKS 1
#else
#define EVENKEEL_EXACT_MASKS 0
#endif

/// The first `count` lanes from p, zeros in the others; count ≤ lanes.
HWY_INLINE VF load_part(F32 d, const float* p, std::int64_t count) {
#if EVENKEEL_EXACT_MASKS
  return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, p);
#else
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(buffer, p, static_cast<std::size_t>(count) * sizeof(float));
  return hn::Load(d, buffer);
#endif
}

HWY_INLINE void store_part(VF v, F32 d, float* p, std::int64_t count) {
#if EVENKEEL_EXACT_MASKS
  hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(count)), d, p);
#else
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, buffer);
  std::memcpy(p, buffer, static_cast<std::size_t>(count) * sizeof(float));
#endif
}

/// Whole (`count` = lanes) or partial.
template <bool kWhole>
HWY_INLINE VF load(F32 d, const float* p, std::int64_t count) {
  if constexpr (kWhole) {
    return hn::LoadU(d, p);
  } else {
    return load_part(d, p, count);
  }
}

template <bool kWhole>
HWY_INLINE void store(VF v, F32 d, float* p, std::int64_t count) {
  if constexpr (kWhole) {
    hn::StoreU(v, d, p);
  } else {
    store_part(v, d, p, count);
  }
}

/// Whole vectors may bypass the cache, at an address that can_stream() allows.
template <bool kWhole>
HWY_INLINE void put(VF v, F32 d, float* p, std::int64_t count, bool stream) {
  if (kWhole && stream) {
    hn::Stream(v, d, p);
  } else {
    store<kWhole>(v, d, p, count);
  }
}

/// Whether whole vectors at `out` and every `stride` values from there on can bypass the cache.
inline bool can_stream(const float* out, std::int64_t stride) {
  const auto bytes = static_cast<std::uintptr_t>(hn::Lanes(F32()) * sizeof(float));
  return reinterpret_cast<std::uintptr_t>(out) % bytes == 0 &&
         static_cast<std::uintptr_t>(stride) * sizeof(float) % bytes == 0;
}

/// The mask of lanes [i, i + lanes) of a row of mask bits; i is a multiple of the lanes. The mask's
/// memory is readable 8 bytes past its end.
HWY_INLINE hn::Mask<F32> load_mask(F32 d, const std::uint8_t* row, std::int64_t i) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (lanes >= 8) return hn::LoadMaskBits(d, row + i / 8);
  std::uint8_t bits[8] = {static_cast<std::uint8_t>(row[i / 8] >> (i % 8))};
  return hn::LoadMaskBits(d, bits);
}

/// The same for any i.
HWY_INLINE hn::Mask<F32> load_mask_at(F32 d, const std::uint8_t* row, std::int64_t i) {
  std::uint64_t bits;
  std::memcpy(&bits, row + i / 8, sizeof bits);
  bits >>= i % 8;
  std::uint8_t bytes[sizeof bits];
  std::memcpy(bytes, &bits, sizeof bits);
  return hn::LoadMaskBits(d, bytes);
}

/// Writes a row of mask bits piece by piece, the pieces of any length.
class MaskWriter {
 public:
  explicit MaskWriter(std::uint8_t* row) : next_(row) {}

  HWY_INLINE void add(F32 d, hn::Mask<F32> mask, std::int64_t count) {
    std::uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, mask, bytes);
    std::uint64_t bits;
    std::memcpy(&bits, bytes, sizeof bits);
    bits &= (std::uint64_t{1} << count) - 1;
    pending_ |= bits << held_;
    held_ += count;
    for (; held_ >= 8; held_ -= 8, pending_ >>= 8) *next_++ = static_cast<std::uint8_t>(pending_);
  }
  HWY_INLINE void finish() {
    if (held_ > 0) *next_ = static_cast<std::uint8_t>(pending_);
  }

 private:
  std::uint8_t* next_;
  std::uint64_t pending_ = 0;
  std::int64_t held_ = 0;
};

/// Values from `out` on that come before the first whole vector that can bypass the cache.
inline std::int64_t lanes_before_line(const float* out, std::int64_t count) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  const auto place =
      static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out) / sizeof(float)) % lanes;
  return std::min(count, (lanes - place) % lanes);
}

/// Writes the bits of `count` lanes, whole bytes only: with fewer than 8 lanes the second half of a
/// byte is merged into what the first half wrote.
template <bool kWhole>
HWY_INLINE void store_mask(F32 d, hn::Mask<F32> mask, std::uint8_t* row, std::int64_t i,
                           std::int64_t count) {
  constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(float);
  std::uint8_t bits[8] = {};
  hn::StoreMaskBits(d, mask, bits);
  if (kLanes >= 8 && kWhole) {
    std::memcpy(row + i / 8, bits, kLanes / 8);  // a size known to the compiler
  } else if (kLanes >= 8) {
    for (std::int64_t byte = 0; byte < (count + 7) / 8; ++byte) row[i / 8 + byte] = bits[byte];
  } else if (i % 8 == 0) {
    row[i / 8] = bits[0];
  } else {
    row[i / 8] = static_cast<std::uint8_t>((row[i / 8] & ((1 << (i % 8)) - 1)) |
                                           (bits[0] << (i % 8)));
  }
}

HWY_INLINE double sum_of(F32 d, VF v) {
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, v)));
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
