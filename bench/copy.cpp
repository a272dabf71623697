#include "copy.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <evenkeel/core/parallel.h>

namespace evenkeel::bench {
namespace {

/// Bytes that a thread takes at a time: a page's worth of DRAM rows, and far below the size from
/// which the C library's memcpy changes to non-temporal stores by itself.
constexpr std::int64_t kPiece = 128 * 1024;

template <class Copy>
void in_pieces(const std::byte* from, std::byte* to, std::int64_t bytes, Copy copy) {
  // parallel_ranges counts elements of work; a byte is a quarter of one.
  const std::int64_t pieces = (bytes + kPiece - 1) / kPiece;
  parallel_for(pieces, kPiece / 4, [&](std::int64_t i) {
    const std::int64_t begin = i * kPiece;
    copy(from + begin, to + begin, static_cast<std::size_t>(std::min(kPiece, bytes - begin)));
  });
}

#if defined(__SSE2__)
/// Tensors begin on a cache line, and so does every piece.
void copy_past_the_cache(const std::byte* from, std::byte* to, std::size_t bytes) {
  std::size_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    const auto* source = reinterpret_cast<const __m128i*>(from + i);
    auto* target = reinterpret_cast<__m128i*>(to + i);
    const __m128i a = _mm_load_si128(source), b = _mm_load_si128(source + 1);
    const __m128i c = _mm_load_si128(source + 2), d = _mm_load_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  std::memcpy(to + i, from + i, bytes - i);
  _mm_sfence();
}
#endif

}  // namespace

std::vector<Candidate> copy_candidates(const Tensor& from, Tensor& to, int threads) {
  const auto* source = static_cast<const std::byte*>(from.raw());
  auto* target = static_cast<std::byte*>(to.raw());
  const auto bytes = static_cast<std::int64_t>(from.bytes());
  const auto prepare = [threads] { set_max_threads(threads); };
  std::vector<Candidate> candidates;
  Candidate plain;
  plain.who = "copy";
  plain.how = "ordinary stores";
  plain.seconds = timed(prepare, [=] {
    in_pieces(source, target, bytes,
              [](const std::byte* a, std::byte* b, std::size_t size) { std::memcpy(b, a, size); });
  });
  candidates.push_back(plain);
#if defined(__SSE2__)
  Candidate streaming = plain;
  streaming.how = "non-temporal stores";
  streaming.seconds =
      timed(prepare, [=] { in_pieces(source, target, bytes, copy_past_the_cache); });
  candidates.push_back(streaming);
#endif
  return candidates;
}

}  // namespace evenkeel::bench
