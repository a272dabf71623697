// How rows are cut into work: by their shape alone, never by the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm {

/// Where the values of a row lie and how γ and β belong to them.
enum class RowKind : std::uint8_t {
  element,        // a row is contiguous, γ and β per element (S = 1)
  channel_first,  // a row is contiguous: for each of its channels a run of S values
  channel_last,   // a row is S runs, one value per channel, as far apart as a sample has channels
};

/// [begin, end)
struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// Forward, and dx: the unit of work is one row or, channels last, a slab of neighbouring groups of
/// one sample, all of them where they are not too many: it is gone through in the order of memory.
/// Its statistics are taken in `parts`, whose sums are merged in double in their order; a part is
/// made of blocks, whose sums are f32. What is elementwise is done in `slices`. Several parts and
/// slices exist in large units only.
struct RowCut {
  static constexpr std::int64_t kBlockValues = 1024;  // 4 KiB of a row
  static constexpr std::int64_t kColumnRows = 64;     // positions of a block, channels last
  static constexpr std::int64_t kPartValues = 16 * 1024;
  static constexpr std::int64_t kColumnPartValues =
      64 * 1024;  // of a slab; one of twice that stays whole
  static constexpr std::int64_t kMaxParts = 64;
  // Channels side by side, channels last: their numbers stay in the first-level cache.
  static constexpr std::int64_t kSlab = 512;
  static constexpr std::int64_t kShortValues = 256;
  static constexpr std::int64_t kFewValues = 8;  // as Cut::kFewValues
  // Gradients of γ and β per element: rows are taken in bundles, whose contributions are added up
  // before they are widened to double; chunks of samples have sums of their own.
  static constexpr std::int64_t kBundle = 4;
  static constexpr std::int64_t kChunkSamples = 16;
  static constexpr std::int64_t kMaxChunks = 64;

  std::int64_t value_bytes;  // of an activation as it is stored; no cut depends on it
  RowKind kind;
  std::int64_t n, groups, channels, s;
  std::int64_t slab_groups, slabs;     // per sample
  std::int64_t part_extent, parts;     // values of a contiguous row, positions otherwise
  std::int64_t slice_extent, slices;   // values, channels or positions, by kind
  std::int64_t chunk_samples, chunks;  // of element

  /// `whole` puts each unit into a single part and slice.
  explicit RowCut(const ConstRowView& x, bool whole = false)
      : value_bytes(static_cast<std::int64_t>(size_of(x.dtype))),
        kind(kind_of(x)),
        n(x.n),
        groups(x.groups),
        channels(x.channels),
        s(x.s) {
    const bool last = kind == RowKind::channel_last;
    const std::int64_t fitting =
        std::max<std::int64_t>(1, kSlab / std::max<std::int64_t>(channels, 1));
    slabs = last ? (groups + fitting - 1) / fitting : groups;
    slab_groups = last && slabs > 0 ? (groups + slabs - 1) / slabs : 1;
    const std::int64_t width = std::max<std::int64_t>(1, last ? slab_groups * channels : 1);
    const std::int64_t positions =
        s * width <= 2 * kColumnPartValues ? s : kColumnPartValues / width;
    if (contiguous()) {
      cut(channels * s, kPartValues, kBlockValues, whole, part_extent, parts);
    } else {
      cut(s, positions, kColumnRows, whole, part_extent, parts);
    }
    switch (kind) {
      case RowKind::element:
        slice_extent = part_extent;
        slices = parts;
        break;
      case RowKind::channel_first:
        cut(channels, kPartValues / std::max<std::int64_t>(s, 1), 1, whole, slice_extent, slices);
        break;
      case RowKind::channel_last:
        cut(s, positions, kColumnRows, whole, slice_extent, slices);
        break;
    }
    chunk_samples = std::max(kChunkSamples, (n + kMaxChunks - 1) / kMaxChunks);
    chunk_samples = (chunk_samples + kBundle - 1) / kBundle * kBundle;
    chunks = (n + chunk_samples - 1) / chunk_samples;
  }

  std::int64_t units() const { return n * slabs; }
  std::int64_t length() const { return channels * s; }
  std::int64_t sample_channels() const { return groups * channels; }
  bool few() const { return length() <= kFewValues; }
  /// Units of one row, of which several fit the first-level cache.
  bool short_rows() const { return kind != RowKind::channel_last && length() <= kShortValues; }
  bool contiguous() const { return kind != RowKind::channel_last || groups == 1; }

  std::int64_t sample_of(std::int64_t unit) const { return unit / slabs; }
  /// The groups of a unit.
  Range groups_of(std::int64_t unit) const {
    const std::int64_t begin = unit % slabs * slab_groups;
    return {begin, std::min(groups, begin + slab_groups)};
  }
  /// Number of the first row of a unit; the others follow.
  std::int64_t first_row(std::int64_t unit) const {
    return sample_of(unit) * groups + groups_of(unit).begin;
  }
  Range part(std::int64_t i) const {
    const std::int64_t extent = contiguous() ? length() : s;
    return {i * part_extent, std::min(extent, (i + 1) * part_extent)};
  }
  Range slice(std::int64_t i) const {
    const std::int64_t extent = kind == RowKind::channel_last ? s : channels;
    return {i * slice_extent, std::min(extent, (i + 1) * slice_extent)};
  }
  Range chunk(std::int64_t i) const {
    return {i * chunk_samples, std::min(n, (i + 1) * chunk_samples)};
  }
  /// Offset of (n, channel of the sample, position).
  std::int64_t offset(std::int64_t sample, std::int64_t channel, std::int64_t position) const {
    const std::int64_t all = sample_channels();
    return kind == RowKind::channel_last ? (sample * s + position) * all + channel
                                         : (sample * all + channel) * s + position;
  }

 private:
  static RowKind kind_of(const ConstRowView& x) {
    if (x.s == 1) return RowKind::element;
    const bool first = x.layout == Layout::channels_first || x.parameters() == 1;
    return first ? RowKind::channel_first : RowKind::channel_last;
  }

  /// Cuts `extent` into at most kMaxParts ranges of about `wanted`, multiples of `grain`.
  static void cut(std::int64_t extent, std::int64_t wanted, std::int64_t grain, bool whole,
                  std::int64_t& range, std::int64_t& count) {
    const std::int64_t total = std::max<std::int64_t>(extent, 1);
    std::int64_t size = std::max({wanted, grain, (total + kMaxParts - 1) / kMaxParts});
    size = (size + grain - 1) / grain * grain;
    range = whole ? total : std::min(size, (total + grain - 1) / grain * grain);
    count = (total + range - 1) / range;
  }
};

}  // namespace evenkeel::norm
