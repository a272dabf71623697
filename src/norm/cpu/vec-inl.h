// Loads, stores and mask bits of whole and partial vectors. Included once per instruction set.
#if defined(EVENKEEL_NORM_CPU_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_VEC_INL_H_
#undef EVENKEEL_NORM_CPU_VEC_INL_H_
#else
#define EVENKEEL_NORM_CPU_VEC_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <evenkeel/core/dtype.h>

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
/// The same of lanes of 16 bits.
#undef EVENKEEL_EXACT_HALF_MASKS
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
#define EVENKEEL_EXACT_HALF_MASKS 1
#else
#define EVENKEEL_EXACT_HALF_MASKS 0
#endif

// ---- bf16, the upper half of an f32 ----

using U16 = hn::Rebind<std::uint16_t, F32>;

HWY_INLINE VF widen_bf16(F32 d, hn::Vec<U16> v) {
  const hn::RebindToUnsigned<F32> du;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, v)));
}

using VU = hn::Vec<hn::RebindToUnsigned<F32>>;

/// Rounds numbers to nearest, ties to even, in the upper halves of the lanes. Processors' own
/// conversions flush denormals, which integers keep: so do all instruction sets.
HWY_INLINE VU rounded_numbers(VF v) {
  const hn::RebindToUnsigned<F32> du;
  const auto u = hn::BitCast(du, v);
#if EVENKEEL_EXACT_HALF_MASKS  // masks cost less than shifts
  const auto odd = hn::TestBit(u, hn::Set(du, 0x10000u));
  return hn::Add(u, hn::IfThenElse(odd, hn::Set(du, 0x8000u), hn::Set(du, 0x7fffu)));
#else
  const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(du, 1u));
  return hn::Add(hn::Add(u, hn::Set(du, 0x7fffu)), odd);
#endif
}

/// The same of anything: a NaN stays one.
HWY_INLINE VU rounded_bf16(VF v) {
  const hn::RebindToUnsigned<F32> du;
  const auto quiet = hn::Or(hn::BitCast(du, v), hn::Set(du, 0x400000u));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded_numbers(v));
}

HWY_INLINE hn::Vec<U16> narrow_bf16(VF v) {
  return hn::TruncateTo(U16(), hn::ShiftRight<16>(rounded_bf16(v)));
}

// ---- Loads and stores ----

/// The vectors of values that make one vector of memory.
template <class T>
inline constexpr std::int64_t kPack = sizeof(float) / sizeof(T);

/// One V for each of a few vectors.
template <class V, std::int64_t kVectors>
using Each = V[static_cast<std::size_t>(kVectors)];

/// The values of a pack.
template <class T>
HWY_INLINE std::int64_t pack_lanes() {
  return kPack<T> * static_cast<std::int64_t>(hn::Lanes(F32()));
}

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

HWY_INLINE VF load_part(F32 d, const bf16* p, std::int64_t count) {
  const U16 du16;
#if EVENKEEL_EXACT_HALF_MASKS
  return widen_bf16(d, hn::MaskedLoad(hn::FirstN(du16, static_cast<std::size_t>(count)), du16,
                                      reinterpret_cast<const std::uint16_t*>(p)));
#else
  HWY_ALIGN std::uint16_t buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(buffer, p, static_cast<std::size_t>(count) * sizeof(bf16));
  return widen_bf16(d, hn::LoadU(du16, buffer));
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

HWY_INLINE void store_part(VF v, F32 /*d*/, bf16* p, std::int64_t count) {
  const U16 du16;
#if EVENKEEL_EXACT_HALF_MASKS
  hn::BlendedStore(narrow_bf16(v), hn::FirstN(du16, static_cast<std::size_t>(count)), du16,
                   reinterpret_cast<std::uint16_t*>(p));
#else
  HWY_ALIGN std::uint16_t buffer[HWY_MAX_BYTES / sizeof(float)];
  hn::StoreU(narrow_bf16(v), du16, buffer);
  std::memcpy(p, buffer, static_cast<std::size_t>(count) * sizeof(bf16));
#endif
}

HWY_INLINE VF load_whole(F32 d, const float* p) { return hn::LoadU(d, p); }
HWY_INLINE VF load_whole(F32 d, const bf16* p) {
  return widen_bf16(d, hn::LoadU(U16(), reinterpret_cast<const std::uint16_t*>(p)));
}

HWY_INLINE void store_whole(VF v, F32 d, float* p) { hn::StoreU(v, d, p); }
HWY_INLINE void store_whole(VF v, F32 /*d*/, bf16* p) {
  hn::StoreU(narrow_bf16(v), U16(), reinterpret_cast<std::uint16_t*>(p));
}

/// Whole (`count` = lanes) or partial.
template <bool kWhole, class T>
HWY_INLINE VF load(F32 d, const T* p, std::int64_t count) {
  if constexpr (kWhole) {
    return load_whole(d, p);
  } else {
    return load_part(d, p, count);
  }
}

template <bool kWhole, class T>
HWY_INLINE void store(VF v, F32 d, T* p, std::int64_t count) {
  if constexpr (kWhole) {
    store_whole(v, d, p);
  } else {
    store_part(v, d, p, count);
  }
}

/// Of narrow values more instructions go by per line, so that a processor has fewer of them under
/// way: asks for the line that comes 2 KiB behind p. The memory need not be there.
template <class T>
HWY_INLINE void fetch_further(const T* p) {
  if constexpr (kPack < T >> 1) hwy::Prefetch(p + 2048 / sizeof(T));
}

/// A pack may bypass the cache, at an address that can_stream() allows.
HWY_INLINE void put_pack(const Each<VF, 1>& v, F32 d, float* p, bool stream) {
  if (stream) {
    hn::Stream(v[0], d, p);
  } else {
    hn::StoreU(v[0], d, p);
  }
}

HWY_INLINE void put_pack(const Each<VF, 2>& v, F32 d, bf16* p, bool stream) {
#if HWY_TARGET == HWY_SCALAR
  (void)stream;
  store_whole(v[0], d, p);
  store_whole(v[1], d, p + 1);
#else
  const hn::Repartition<std::uint16_t, F32> d16;
  VU low = rounded_numbers(v[0]), high = rounded_numbers(v[1]);
  // The sum is NaN where one of them is, and seldom elsewhere: one look at both.
  if (HWY_UNLIKELY(!hn::AllFalse(d, hn::IsNaN(hn::Add(v[0], v[1]))))) {
    low = rounded_bf16(v[0]);
    high = rounded_bf16(v[1]);
  }
  const auto upper = hn::ConcatOdd(d16, hn::BitCast(d16, high), hn::BitCast(d16, low));
  if (stream) {
    hn::Stream(upper, d16, reinterpret_cast<std::uint16_t*>(p));
  } else {
    hn::StoreU(upper, d16, reinterpret_cast<std::uint16_t*>(p));
  }
#endif
}

/// A pack that may bypass the cache, or a vector, whole or partial, of which that is no use.
template <std::int64_t kVectors, bool kWhole, class T>
HWY_INLINE void put(const Each<VF, kVectors>& v, F32 d, T* p, std::int64_t count, bool stream) {
  if constexpr (kWhole && kVectors == kPack<T>) {
    put_pack(v, d, p, stream);
  } else {
    store<kWhole>(v[0], d, p, count);
  }
}

template <std::int64_t kCount>
using Vectors = std::integral_constant<std::int64_t, kCount>;

/// Calls f(vectors, whole, i, valid) for what covers the values [0, end): packs, vectors, and what
/// is left; the number of vectors and whether they are whole are compile-time constants.
template <class T, class F>
HWY_INLINE void for_each_pack(std::int64_t end, F&& f) {
  constexpr std::int64_t kVectors = kPack<T>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  const std::int64_t pack = pack_lanes<T>();
  std::int64_t i = 0;
  for (; i + pack <= end; i += pack) f(Vectors<kVectors>(), std::true_type(), i, lanes);
  if constexpr (kVectors > 1) {
    if (i + lanes <= end) {
      f(Vectors<1>(), std::true_type(), i, lanes);
      i += lanes;
    }
  }
  if (i < end) f(Vectors<1>(), std::false_type(), i, end - i);
}

/// Bytes of a vector of memory.
HWY_INLINE std::uintptr_t vector_bytes() {
  return static_cast<std::uintptr_t>(hn::Lanes(F32()) * sizeof(float));
}

/// Whether packs at `out` and every `stride` values from there on can bypass the cache.
template <class T>
inline bool can_stream(const T* out, std::int64_t stride) {
  return reinterpret_cast<std::uintptr_t>(out) % vector_bytes() == 0 &&
         static_cast<std::uintptr_t>(stride) * sizeof(T) % vector_bytes() == 0;
}

/// Values from `out` on that come before the first pack that can bypass the cache.
template <class T>
inline std::int64_t lanes_before_line(const T* out, std::int64_t count) {
  const std::int64_t pack = pack_lanes<T>();
  const auto place =
      static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out) / sizeof(T)) % pack;
  return std::min(count, (pack - place) % pack);
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

/// The bits of a mask, that of the first lane lowest.
HWY_INLINE std::uint64_t bits_of(F32 d, hn::Mask<F32> mask) {
  using Bits = std::conditional_t<(HWY_MAX_BYTES / sizeof(float) > 8), std::uint16_t, std::uint8_t>;
  std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(d, mask, bytes);
  Bits bits;
  std::memcpy(&bits, bytes, sizeof bits);  // no more than was written, so that it stays a register
  return bits;
}

/// Writes a row of mask bits piece by piece, the pieces of any length, from bit `bit` of the first
/// byte on; what lies before it, and behind the end in the last byte, stays if `within`.
class MaskWriter {
 public:
  MaskWriter(std::uint8_t* row, std::int64_t bit, bool within) : next_(row), within_(within) {
    if (row == nullptr || bit == 0) return;
    pending_ = *row & ((1U << bit) - 1);
    held_ = bit;
  }

  HWY_INLINE void add(F32 d, hn::Mask<F32> mask, std::int64_t count) {
    pending_ |= (bits_of(d, mask) & ((std::uint64_t{1} << count) - 1)) << held_;
    held_ += count;
    if (held_ < 32) return;
    std::memcpy(next_, &pending_, 4);
    next_ += 4;
    pending_ >>= 32;
    held_ -= 32;
  }
  HWY_INLINE void finish() {
    for (; held_ >= 8; held_ -= 8, pending_ >>= 8) *next_++ = static_cast<std::uint8_t>(pending_);
    if (held_ == 0) return;
    const unsigned others = within_ ? *next_ & (0xffU << held_) : 0U;
    *next_ = static_cast<std::uint8_t>(pending_ | others);
  }

 private:
  std::uint8_t* next_;
  bool within_;
  std::uint64_t pending_ = 0;
  std::int64_t held_ = 0;
};

/// Writes the bits of kVectors whole vectors or of `count` lanes of one, whole bytes only: with
/// fewer than 8 lanes the second half of a byte is merged into what the first half wrote.
template <std::int64_t kVectors, bool kWhole>
HWY_INLINE void store_mask(std::uint64_t bits, std::uint8_t* row, std::int64_t i,
                           std::int64_t count) {
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / sizeof(float);
  constexpr std::int64_t kBits = kVectors * kLanes;
  std::uint8_t* const to = row + i / 8;
  if constexpr (kWhole && kBits >= 8) {
    std::memcpy(to, &bits, kBits / 8);
  } else if (kLanes >= 8) {
    std::memcpy(to, &bits, static_cast<std::size_t>((count + 7) / 8));
  } else if (i % 8 == 0) {
    *to = static_cast<std::uint8_t>(bits);
  } else {
    *to = static_cast<std::uint8_t>((*to & ((1U << (i % 8)) - 1)) | (bits << (i % 8)));
  }
}

/// Calls f(numbers, whole, i, valid) for every vector of a run of channels [c0, c1) of `s` values
/// each that lie behind one another: broadcast(c) gives one channel's numbers in all lanes, and
/// blend(mask, a, b) mixes those of neighbours that share a vector.
template <class Broadcast, class F>
HWY_INLINE void for_each_joined_vector(const Broadcast& broadcast, std::int64_t c0, std::int64_t c1,
                                       std::int64_t s, F&& f) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t total = (c1 - c0) * s;
  auto numbers = broadcast(c0);
  std::int64_t c = c0, i = 0;
  for (std::int64_t end = s;;) {
    for (; i + step <= end; i += step) f(numbers, std::true_type(), i, step);
    if (c + 1 == c1) break;
    auto mixed = numbers;
    for (; i + step > end && c + 1 < c1; end += s) {
      numbers = broadcast(++c);
      mixed = blend(hn::FirstN(d, static_cast<std::size_t>(end - i)), mixed, numbers);
    }
    if (i + step > total) {
      f(mixed, std::false_type(), i, total - i);
      return;
    }
    f(mixed, std::true_type(), i, step);
    i += step;
  }
  if (i < total) f(numbers, std::false_type(), i, total - i);
}

/// Writes a run of values vector by vector, in packs where these are whole.
template <class T>
class PackWriter {
 public:
  PackWriter(T* out, bool stream) : out_(out), stream_(stream) {}

  /// The whole vector at value i.
  HWY_INLINE void add(F32 d, VF v, std::int64_t i) {
    if constexpr (kPack<T> == 1) {
      const Each<VF, 1> pack = {v};
      put_pack(pack, d, out_ + i, stream_);
    } else if (holds_) {
      const Each<VF, 2> pack = {held_, v};
      put_pack(pack, d, out_ + i - static_cast<std::int64_t>(hn::Lanes(d)), stream_);
      holds_ = false;
    } else {
      held_ = v;
      holds_ = true;
    }
  }
  /// The last `valid` lanes, at value i.
  HWY_INLINE void add_part(F32 d, VF v, std::int64_t i, std::int64_t valid) {
    finish(d, i);
    store_part(v, d, out_ + i, valid);
  }
  /// Writes what is still held; the run's whole vectors end before value i.
  HWY_INLINE void finish(F32 d, std::int64_t i) {
    if (holds_) store_whole(held_, d, out_ + i - static_cast<std::int64_t>(hn::Lanes(d)));
    holds_ = false;
  }

 private:
  T* out_;
  bool stream_;
  VF held_ = hn::Zero(F32());
  bool holds_ = false;
};

HWY_INLINE double sum_of(F32 d, VF v) {
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, v)));
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
