#include "ops/onednn/gemm.h"

#include <algorithm>
#include <bit>

#include "ops/onednn/runtime.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::ops::onednn {
namespace {

constexpr std::int64_t kSimd = 16;       // floats in the widest vector: tiles begin at multiples
constexpr std::int64_t kNarrowest = 64;  // below, packing the other operand once per tile shows
constexpr std::int64_t kWidest = 512;
constexpr std::int64_t kFewTiles = 8;

/// How many parts a dimension is cut into.
std::int64_t parts_of(std::int64_t extent) {
  const auto narrow = static_cast<std::uint64_t>(std::max<std::int64_t>(1, extent / kNarrowest));
  const auto few = std::min(kFewTiles, static_cast<std::int64_t>(std::bit_floor(narrow)));
  return std::max(few, (extent + kWidest - 1) / kWidest);
}

/// Begin of part i, at a multiple of the vector width.
std::int64_t part_begin(std::int64_t extent, std::int64_t parts, std::int64_t i) {
  const std::int64_t units = (extent + kSimd - 1) / kSimd;
  return std::min(extent, units * i / parts * kSimd);
}

}  // namespace

void gemm(std::string_view op, std::int64_t m, std::int64_t n, std::int64_t k, Operand a, Operand b,
          float* c, bool accumulate, const float* bias) {
  if (m == 0 || n == 0) return;
  // One dimension is cut, the longer: the operand along the other is packed once per tile.
  const bool by_rows = m > n;
  const std::int64_t parts = parts_of(by_rows ? m : n);
  // A thread does some sixteen multiply-adds in the time of one elementwise step.
  const std::int64_t cost =
      std::max<std::int64_t>(1, m * n / 16 * std::max<std::int64_t>(k, 1)) / parts;
  parallel_for(parts, cost, [&](std::int64_t part) {
    const std::int64_t begin = part_begin(by_rows ? m : n, parts, part);
    const std::int64_t end = part_begin(by_rows ? m : n, parts, part + 1);
    if (begin == end) return;
    const std::int64_t row = by_rows ? begin : 0;
    const std::int64_t column = by_rows ? 0 : begin;
    const std::int64_t rows = by_rows ? end - begin : m;
    const std::int64_t columns = by_rows ? n : end - begin;
    float* out = c + row * n + column;
    if (bias != nullptr) {
      for (std::int64_t r = 0; r < rows; ++r) {
        std::copy(bias + column, bias + column + columns, out + r * n);
      }
    }
    const bool add = accumulate || bias != nullptr;
    if (k == 0) {
      for (std::int64_t r = 0; r < rows && !add; ++r) std::fill_n(out + r * n, columns, 0.0f);
      return;
    }
    const float* from_a = a.data + (a.transposed ? row : row * a.stride);
    const float* from_b = b.data + (b.transposed ? column * b.stride : column);
    const ThreadScope one_thread(1);
    const auto status =
        dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', rows, columns, k, 1.0f,
                   from_a, a.stride, from_b, b.stride, add ? 1.0f : 0.0f, out, n);
    if (status != dnnl_success) {
      fail<Error>("[{}] oneDNN could not run it: sgemm failed (status {})", op,
                  static_cast<int>(status));
    }
  });
}

}  // namespace evenkeel::ops::onednn
