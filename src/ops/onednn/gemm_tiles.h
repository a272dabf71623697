// How a matrix product is cut: into tiles of the result that depend on the shape alone.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <evenkeel/core/parallel.h>

namespace evenkeel::ops::onednn {

/// Rows and columns of the result.
struct GemmTile {
  std::int64_t row, rows, column, columns;
};

class GemmTiles {
 public:
  GemmTiles(std::int64_t m, std::int64_t n, std::int64_t k) : m_(m), n_(n), k_(k) {
    // One dimension is cut, the longer: the operand along the other is packed once per tile.
    parts_ = parts_of(std::max(m, n));
  }

  /// f(tile) for each, in parallel.
  template <class F>
  void for_each(F&& f) const {
    const bool by_rows = m_ > n_;
    const std::int64_t extent = by_rows ? m_ : n_;
    // A thread does some sixteen multiply-adds in the time of one elementwise step.
    const std::int64_t cost =
        std::max<std::int64_t>(1, m_ * n_ / 16 * std::max<std::int64_t>(k_, 1)) / parts_;
    parallel_for(parts_, cost, [&](std::int64_t part) {
      const std::int64_t begin = part_begin(extent, part);
      const std::int64_t end = part_begin(extent, part + 1);
      if (begin == end) return;
      f(by_rows ? GemmTile{begin, end - begin, 0, n_} : GemmTile{0, m_, begin, end - begin});
    });
  }

 private:
  static constexpr std::int64_t kSimd =
      16;  // floats in the widest vector: tiles begin at multiples
  static constexpr std::int64_t kNarrowest = 64;  // below, packing once per tile shows
  static constexpr std::int64_t kWidest = 512;
  static constexpr std::int64_t kFewTiles = 8;

  static std::int64_t parts_of(std::int64_t extent) {
    const auto narrow = static_cast<std::uint64_t>(std::max<std::int64_t>(1, extent / kNarrowest));
    const auto few = std::min(kFewTiles, static_cast<std::int64_t>(std::bit_floor(narrow)));
    return std::max(few, (extent + kWidest - 1) / kWidest);
  }
  /// Begin of part i, at a multiple of the vector width.
  std::int64_t part_begin(std::int64_t extent, std::int64_t i) const {
    const std::int64_t units = (extent + kSimd - 1) / kSimd;
    return std::min(extent, units * i / parts_ * kSimd);
  }

  std::int64_t m_, n_, k_, parts_;
};

}  // namespace evenkeel::ops::onednn
