// Statistics of rows: the sums of their blocks, added up in double.
#if defined(EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_
#undef EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_
#else
#define EVENKEEL_NORM_CPU_ROW_COLLECT_INL_H_
#endif

#include "norm/cpu/block-inl.h"
#include "norm/cpu/row_vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Σx² of a patch.
inline double square_sum(const float* x, const Patch& patch, bool few) {
  const F32 d;
  VF sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for_each_vector<true>(
      x, patch, [&](int a, VF v, std::int64_t /*valid*/) { sum[a] = hn::MulAdd(v, v, sum[a]); });
  const double squares = sum_of(d, hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])));
  if (!few && squares_in_range(squares)) return squares;
  return exact_squares(x, patch);
}

/// `next` as in block_sums().
inline void add_block(const float* x, const Patch& patch, Centre centre, bool few, const float* next,
                      ShiftedSums& sums) {
  const auto count = static_cast<double>(patch.count());
  if (centre == Centre::zero) {
    sums.add(count, 0, 0, square_sum(x, patch, few));
    return;
  }
  const BlockSums block = block_sums<true>(x, patch, few, next);
  sums.add(count, block.centre, block.s1, block.s2);
}

/// A part of a row whose values lie one after the other. Fetches half of the one `ahead` values
/// behind it.
inline ShiftedSums contiguous_sums(const float* row, const Range& part, Centre centre, bool few,
                                   std::int64_t ahead) {
  ShiftedSums sums;
  for (std::int64_t i = part.begin; i < part.end; i += RowCut::kBlockValues) {
    const std::int64_t length = std::min(RowCut::kBlockValues, part.end - i);
    add_block(row + i, {1, length, length}, centre, few,
              ahead != 0 ? row + ahead + i / 2 : nullptr, sums);
  }
  return sums;
}

/// Sums of each lane of a tile.
struct ColumnSums {
  float centre[ColumnNumbers::kPadded], s1[ColumnNumbers::kPadded], s2[ColumnNumbers::kPadded];
};

/// Calls f(accumulator, vector, value) for a tile of `rows` positions, row by row; two accumulators
/// in turn.
template <bool kWhole, int kVectors, class F>
HWY_INLINE void for_each_in_tile(const float* x, std::int64_t valid, std::int64_t rows,
                                 std::int64_t stride, F&& f) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t r = 0;
  for (; r + 2 <= rows; r += 2) {
    for (int v = 0; v < kVectors; ++v) f(0, v, load<kWhole>(d, x + r * stride + v * step, valid));
    for (int v = 0; v < kVectors; ++v) {
      f(1, v, load<kWhole>(d, x + (r + 1) * stride + v * step, valid));
    }
  }
  if (r < rows) {
    for (int v = 0; v < kVectors; ++v) f(0, v, load<kWhole>(d, x + r * stride + v * step, valid));
  }
}

/// Centres of a tile's lanes, as rounded_centre() makes them.
template <bool kWhole, int kVectors>
HWY_INLINE void tile_centres(const float* x, std::int64_t valid, std::int64_t rows,
                             std::int64_t stride, VF* centre) {
  const F32 d;
  VF sum[2][kTileVectors], spread[2][kTileVectors];
  for (int v = 0; v < kVectors; ++v)
    sum[0][v] = sum[1][v] = spread[0][v] = spread[1][v] = hn::Zero(d);
  for_each_in_tile<kWhole, kVectors>(x, valid, rows, stride, [&](int a, int v, VF value) HWY_ATTR {
    sum[a][v] = hn::Add(sum[a][v], value);
  });
  const VF count = hn::Set(d, static_cast<float>(rows));
  VF mean[kTileVectors];
  for (int v = 0; v < kVectors; ++v) mean[v] = hn::Div(hn::Add(sum[0][v], sum[1][v]), count);
  const std::int64_t some = std::min<std::int64_t>(4, rows);
  for_each_in_tile<kWhole, kVectors>(x, valid, some, stride, [&](int a, int v, VF value) HWY_ATTR {
    spread[a][v] = hn::Add(spread[a][v], hn::Abs(hn::Sub(value, mean[v])));
  });
  const VF share = hn::Set(d, 1.0F / static_cast<float>(some));
  for (int v = 0; v < kVectors; ++v) {
    centre[v] = rounded_centre(d, mean[v], hn::Mul(hn::Add(spread[0][v], spread[1][v]), share));
  }
}

template <bool kWhole, int kVectors>
HWY_INLINE void tile_sums(const float* x, std::int64_t i, std::int64_t valid, std::int64_t rows,
                          std::int64_t stride, Centre about, ColumnSums& out) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  VF centre[kTileVectors], s1[2][kTileVectors], s2[2][kTileVectors];
  for (int v = 0; v < kVectors; ++v) {
    centre[v] = s1[0][v] = s1[1][v] = s2[0][v] = s2[1][v] = hn::Zero(d);
  }
  if (about == Centre::mean) tile_centres<kWhole, kVectors>(x + i, valid, rows, stride, centre);
  for_each_in_tile<kWhole, kVectors>(x + i, valid, rows, stride,
                                     [&](int a, int v, VF value) HWY_ATTR {
                                       const VF difference = hn::Sub(value, centre[v]);
                                       s1[a][v] = hn::Add(s1[a][v], difference);
                                       s2[a][v] = hn::MulAdd(difference, difference, s2[a][v]);
                                     });
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(centre[v], d, out.centre + i + v * step);
    hn::StoreU(hn::Add(s1[0][v], s1[1][v]), d, out.s1 + i + v * step);
    hn::StoreU(hn::Add(s2[0][v], s2[1][v]), d, out.s2 + i + v * step);
  }
}

/// One block of narrow groups: sums per channel, which are added up in double. sums[0] is the group
/// of channel c0; `width` channels, at most kSlab.
inline void add_narrow_block(const float* x, const RowCut& cut, std::int64_t rows, std::int64_t c0,
                             std::int64_t width, Centre centre, ShiftedSums* sums) {
  const std::int64_t stride = cut.sample_channels();
  ColumnSums columns;
  for_each_tile(width, [&](auto whole, auto vectors, std::int64_t i, std::int64_t valid) HWY_ATTR {
    tile_sums<decltype(whole)::value, decltype(vectors)::value>(x, i, valid, rows, stride, centre,
                                                                columns);
  });
  const auto count = static_cast<double>(rows);
  for_each_group_in(
      cut, c0, c0 + width, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
        ShiftedSums& row = sums[group - c0 / cut.channels];
        for (std::int64_t k = begin - c0; k < end - c0; ++k) {
          const auto squares = static_cast<double>(columns.s2[k]);
          if (!cut.few() && squares_in_range(squares)) {
            // About zero the first sum is not wanted.
            const double first = centre == Centre::mean ? static_cast<double>(columns.s1[k]) : 0.0;
            row.add(count, static_cast<double>(columns.centre[k]), first, squares);
          } else if (const Patch patch{rows, stride, 1}; centre == Centre::zero) {
            row.add(count, 0, 0, exact_squares(x + k, patch));
          } else {
            const BlockSums exact = sums_in_double(x + k, patch);
            row.add(count, exact.centre, exact.s1, exact.s2);
          }
        }
      });
}

inline void collect_rows(const ConstRowView& x, const RowCut& cut, Centre centre, std::int64_t unit,
                         std::int64_t part, std::int64_t ahead, ShiftedSums* sums) {
  const float* data = static_cast<const float*>(x.data);
  const Range range = cut.part(part);
  if (cut.contiguous()) {
    sums[0] = contiguous_sums(data + unit * cut.length(), range, centre, cut.few(), ahead);
    return;
  }
  const Range groups = cut.groups_of(unit);
  for (std::int64_t g = 0; g < groups.size(); ++g) sums[g] = {};
  const std::int64_t pitch = cut.sample_channels();
  const std::int64_t block_rows = cut.rows_per_block();
  for (std::int64_t p = range.begin; p < range.end; p += block_rows) {
    const std::int64_t rows = std::min(block_rows, range.end - p);
    const float* block = data + cut.offset(cut.sample_of(unit), groups.begin * cut.channels, p);
    if (cut.narrow()) {
      add_narrow_block(block, cut, rows, groups.begin * cut.channels, groups.size() * cut.channels,
                       centre, sums);
      continue;
    }
    for (std::int64_t g = 0; g < groups.size(); ++g) {
      add_block(block + g * cut.channels, {rows, pitch, cut.channels}, centre, cut.few(), nullptr,
                sums[g]);
    }
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
