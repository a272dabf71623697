// How a tensor is cut into blocks: by its shape alone, never by the number of threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "norm/patch.h"
#include <evenkeel/norm/views.h>

namespace evenkeel::norm {

/// A rectangle of one channel's values: rows [row0, row1) and, channels first, positions [s0, s1)
/// of each row. Channels last has one value per row and channel.
struct Block {
  std::int64_t row0, row1, s0, s1;
  std::int64_t count() const { return (row1 - row0) * (s1 - s0); }
};

/// Each channel's values form `blocks` blocks, small enough for the first-level cache, whose sums
/// are f32; blocks form `groups` groups, the unit of parallel work, whose sums are double.
struct Cut {
  static constexpr std::int64_t kBlockValues = 1024;  // 4 KiB of one channel (channels first)
  static constexpr std::int64_t kBlockRows = 64;      // of a slab of channels (channels last)
  static constexpr std::int64_t kSlab = 64;  // channels handled together, at most: 256 bytes a row
  static constexpr std::int64_t kMaxGroups = 64;
  static constexpr std::int64_t kJoinedBelow = 512;

  std::int64_t value_bytes;        // of an activation as it is stored; no block depends on it
  bool last;                       // channels last, or S = 1
  std::int64_t rows, channels, s;  // s = 1 where last
  std::int64_t pieces;             // blocks per row, channels first
  std::int64_t piece;  // positions per piece: a multiple of 64, so that masks stay aligned
  std::int64_t rows_per_block;
  bool joined;        // channels first, small maps that are no whole lines: neighbours share these
  std::int64_t slab;  // channels handled together: neighbours, of small maps
  std::int64_t blocks, blocks_per_group, groups;
  bool own_mean;  // a single block is measured from its own mean: two passes over it cost little

  /// `whole` puts each channel into a single block.
  explicit Cut(const ConstChannelView& x, bool whole = false)
      : value_bytes(static_cast<std::int64_t>(size_of(x.dtype))),
        last(x.layout == Layout::channels_last || x.s == 1),
        rows(last ? x.n * x.s : x.n),
        channels(x.c),
        s(last ? 1 : x.s) {
    piece = last || whole || s <= kBlockValues ? std::max<std::int64_t>(s, 1) : kBlockValues;
    pieces = std::max<std::int64_t>(1, (s + piece - 1) / piece);
    rows_per_block = whole  ? std::max<std::int64_t>(rows, 1)
                     : last ? kBlockRows
                            : std::max<std::int64_t>(1, kBlockValues / piece);
    joined = !last && s < kJoinedBelow && s % kBlockRows != 0;
    slab = std::clamp<std::int64_t>(kBlockValues / piece, 1, kSlab);
    if (joined) {  // lines, and bytes of the mask, belong to one slab
      const std::int64_t whole_lines = line() / std::gcd(line(), s);
      slab = (slab + whole_lines - 1) / whole_lines * whole_lines;
    }
    blocks = (rows + rows_per_block - 1) / rows_per_block * pieces;
    blocks_per_group = std::max<std::int64_t>(1, (blocks + kMaxGroups - 1) / kMaxGroups);
    groups = (blocks + blocks_per_group - 1) / blocks_per_group;
    own_mean = blocks <= 1;
  }

  /// So few values per channel that gradients are small differences of large numbers (with two
  /// values dx is almost 0): all sums are then taken in double.
  static constexpr std::int64_t kFewValues = 8;
  bool few() const { return rows * s <= kFewValues; }

  /// Values of a cache line.
  std::int64_t line() const { return 64 / value_bytes; }
  /// Whether the values of a row or, channels last, of a position make whole cache lines, or enough
  /// of them that its ends do not count: only whole lines can bypass the cache.
  bool rows_fill_lines() const {
    if (last || joined) return channels * s % line() == 0;
    return s % line() == 0 || s >= 8 * line();
  }

  std::int64_t slabs() const { return (channels + slab - 1) / slab; }
  std::int64_t slab_begin(std::int64_t i) const { return i * slab; }
  std::int64_t slab_end(std::int64_t i) const { return std::min(channels, (i + 1) * slab); }

  Block block(std::int64_t b) const {
    const std::int64_t row0 = b / pieces * rows_per_block;
    const std::int64_t s0 = b % pieces * piece;
    return {row0, std::min(rows, row0 + rows_per_block), s0, std::min(s, s0 + piece)};
  }
  std::int64_t group_begin(std::int64_t g) const { return g * blocks_per_group; }
  std::int64_t group_end(std::int64_t g) const {
    return std::min(blocks, (g + 1) * blocks_per_group);
  }

  /// Bytes of activation mask per row: per (n, c) channels first, per row of C channels last, per
  /// sample where channels are joined.
  std::int64_t mask_row_bytes() const {
    return ((last || joined ? channels * s : s) + 7) / 8;
  }
  std::int64_t mask_bytes() const {
    return (last || joined ? rows : rows * channels) * mask_row_bytes();
  }
  /// Offset of the first element of (row, channel).
  std::int64_t offset(std::int64_t row, std::int64_t c) const {
    return last ? row * channels + c : (row * channels + c) * s;
  }
  /// Where a block of channel c begins, and its form in memory.
  std::int64_t offset(const Block& block, std::int64_t c) const {
    return offset(block.row0, c) + block.s0;
  }
  Patch patch(const Block& block) const {
    return {block.row1 - block.row0, last ? channels : channels * s, block.s1 - block.s0};
  }
  /// The mask's bit of element (row, c, position): from which byte on, and how many bits from there.
  std::int64_t mask_row(std::int64_t row, std::int64_t c) const {
    return (last || joined ? row : row * channels + c) * mask_row_bytes();
  }
  std::int64_t mask_bit(std::int64_t c, std::int64_t position) const {
    if (last) return c;
    return joined ? c * s + position : position;
  }
};

/// Σ(x−pivot) and Σ(x−pivot)² in double, merged without dividing, so that values with few digits
/// keep exact sums. The pivot is what the first block merged was measured from; it lies within
/// √blocks·σ of the mean, which bounds what the last subtraction can lose.
struct ShiftedSums {
  double count = 0, pivot = 0, first = 0, second = 0;

  /// Adds n values with sums s1 = Σ(x−centre) and s2 = Σ(x−centre)².
  void add(double n, double centre, double s1, double s2) {
    if (n == 0) return;
    if (count == 0) pivot = centre;
    // An infinite mean stays infinite, as one sum over all values would have it.
    const double shift = centre == pivot ? 0.0 : centre - pivot;
    if (std::isinf(pivot) && std::isfinite(centre)) {
      count += n;
      return;
    }
    count += n;
    first += s1 + n * shift;
    second += s2 + (2 * s1 + n * shift) * shift;
  }

  double mean() const { return first == 0 ? pivot : pivot + first / count; }
  /// Σ(x−mean)²; rounding cannot make it negative, NaN stays.
  double m2() const {
    if (count == 0) return 0;
    const double value = second - first * first / count;
    return value < 0 ? 0 : value;
  }
};

}  // namespace evenkeel::norm
