// The first pass of the backward direction over rows: Σγ·dy and Σγ·dy·(x−μ) of rows, Σdy·x̂ and Σdy
// for γ and β.
#if defined(EVENKEEL_NORM_CPU_ROW_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_ROW_REDUCE_INL_H_
#undef EVENKEEL_NORM_CPU_ROW_REDUCE_INL_H_
#else
#define EVENKEEL_NORM_CPU_ROW_REDUCE_INL_H_
#endif

#include "norm/cpu/row_vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Whether the f32 sums of a block of this row may have lost digits: too few values, products that
/// left the range or nearly vanished. Where all values are the mean nothing was there to be lost.
inline bool row_sums_need_double(const RowNormState& state, const RowCut& cut, std::int64_t row,
                                 bool extreme, const RowSums& sums) {
  const bool vanished =
      std::abs(sums.g_centred) < 1e-25 &&
      (sums.g_centred != 0 || (sums.g != 0 && state.var[static_cast<std::size_t>(row)] != 0));
  return cut.few() || extreme || vanished || !std::isfinite(sums.g) ||
         !std::isfinite(sums.g_centred);
}

// ---- γ and β per element ----

/// Values of a row whose sums are taken at once: of a bundle and with the contributions to dγ and
/// dβ they stay in the first-level cache.
constexpr std::int64_t kElementBlock = 512;

/// What a block of a bundle adds to dγ and dβ.
struct Contributions {
  static constexpr std::int64_t kPadded = kElementBlock + HWY_MAX_BYTES / sizeof(float);
  float dgamma[kPadded], dbeta[kPadded];
};

template <class T>
struct ElementRow {
  const T *x, *dy;
  std::int64_t row;
  const T *next_x, *next_dy;  ///< of which half is fetched; null where nothing is
};

/// Sums of a block of kRows rows, and their contributions.
template <class T, std::size_t kRows, bool kGamma>
void element_block_sums(const RowNormState& state, const ElementRow<T>* rows, const float* gamma,
                        std::int64_t count, RowSums* sums, Contributions& out) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  RowLanes row[kRows];
  VF s1[kRows], s2[kRows];
  for (std::size_t k = 0; k < kRows; ++k) {
    row[k] = row_lanes(d, row_numbers(state, rows[k].row));
    s1[k] = s2[k] = hn::Zero(d);
  }
  const auto step = [&](std::int64_t i, std::int64_t valid, auto whole) HWY_ATTR {
    constexpr bool kWhole = decltype(whole)::value;
    const VF weight = affine_lanes<kWhole, kGamma>(d, gamma, i, valid, 1.F);
    VF beta_sum = hn::Zero(d), gamma_sum = hn::Zero(d);
    for (std::size_t k = 0; k < kRows; ++k) {
      fetch_half(rows[k].x, rows[k].next_x, i);
      fetch_half(rows[k].dy, rows[k].next_dy, i);
      const VF dy = load<kWhole>(d, rows[k].dy + i, valid);
      const VF c = centred(row[k], load<kWhole>(d, rows[k].x + i, valid));
      const VF g = hn::Mul(dy, weight);
      s1[k] = hn::Add(s1[k], g);
      s2[k] = hn::MulAdd(g, c, s2[k]);  // beyond the end of the row g is 0
      beta_sum = hn::Add(beta_sum, dy);
      gamma_sum = hn::MulAdd(dy, hn::Mul(c, row[k].inv), gamma_sum);
    }
    hn::StoreU(gamma_sum, d, out.dgamma + i);
    hn::StoreU(beta_sum, d, out.dbeta + i);
  };
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) step(i, lanes, std::true_type());
  if (i < count) step(i, count - i, std::false_type());
  for (std::size_t k = 0; k < kRows; ++k) sums[k] = {sum_of(d, s1[k]), sum_of(d, s2[k])};
}

/// Adds f32 values to doubles.
inline void add_widened(const float* values, std::int64_t count, double* sums) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto wide = hn::PromoteTo(dd, hn::LoadU(half, values + i));
    hn::StoreU(hn::Add(hn::LoadU(dd, sums + i), wide), dd, sums + i);
  }
  for (; i < count; ++i) sums[i] += static_cast<double>(values[i]);
}

template <class T, std::size_t kRows, bool kGamma>
void reduce_bundle(const RowGradientJob& job, const RowCut& cut, const Bundle& bundle,
                   const Range& range, RowSums* sums, double* dgamma, double* dbeta) {
  const std::int64_t first = bundle.g * cut.channels;  // of γ and β
  const T* x = static_cast<const T*>(job.x.data);
  const T* dy = static_cast<const T*>(job.dy.data);
  Contributions contributions;
  for (std::int64_t i = range.begin; i < range.end; i += kElementBlock) {
    const std::int64_t count = std::min(kElementBlock, range.end - i);
    ElementRow<T> rows[kRows];
    for (std::size_t k = 0; k < kRows; ++k) {
      const std::int64_t row = (bundle.n0 + static_cast<std::int64_t>(k)) * cut.groups + bundle.g;
      const std::int64_t base = row * cut.length() + i;
      rows[k] = {x + base, dy + base, row, first_half(job.passage, x + base, i),
                 first_half(job.passage, dy + base, i)};
    }
    RowSums block[kRows];
    element_block_sums<T, kRows, kGamma>(job.state, rows, kGamma ? job.gamma + first + i : nullptr,
                                         count, block, contributions);
    bool exact = false;
    for (std::size_t k = 0; k < kRows; ++k) {
      if (row_sums_need_double(job.state, cut, rows[k].row, extreme_row(job.state, rows[k].row),
                               block[k])) {
        exact = true;
        block[k] = exact_element_sums(rows[k].x, rows[k].dy, count, job, rows[k].row, first + i);
      }
      sums[k].g += block[k].g;
      sums[k].g_centred += block[k].g_centred;
    }
    if (dgamma == nullptr) continue;
    if (!exact) {
      add_widened(contributions.dgamma, count, dgamma + first + i);
      add_widened(contributions.dbeta, count, dbeta + first + i);
      continue;
    }
    for (const ElementRow<T>& row : rows) {
      exact_contributions(row.x, row.dy, count, job.state, row.row, dgamma + first + i,
                          dbeta + first + i);
    }
  }
}

template <class T>
inline void reduce_elements(const RowGradientJob& job, const RowCut& cut, const Bundle& bundle,
                            std::int64_t part, RowSums* sums, double* dgamma, double* dbeta) {
  const Range range = cut.part(part);
  const bool gamma = job.gamma != nullptr;
  const std::int64_t rows = bundle.n1 - bundle.n0;
  if (rows == RowCut::kBundle) {
    (gamma
         ? reduce_bundle<T, RowCut::kBundle, true>
         : reduce_bundle<T, RowCut::kBundle, false>)(job, cut, bundle, range, sums, dgamma, dbeta);
    return;
  }
  for (std::int64_t k = 0; k < rows; ++k) {
    const Bundle one{bundle.n0 + k, bundle.n0 + k + 1, bundle.g};
    (gamma ? reduce_bundle<T, 1, true> : reduce_bundle<T, 1, false>)(job, cut, one, range, sums + k,
                                                                     dgamma, dbeta);
  }
}

// ---- γ and β per channel ----

/// A run of values of one channel; four accumulators in turn. Fetches half of what lies at `next_x`
/// and `next_dy`, unless these are null.
template <class T>
inline RowSums run_sums(const RowLanes& row, const T* x, const T* dy, const T* next_x,
                        const T* next_dy, std::int64_t count) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const VF zero = hn::Zero(d);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  const auto step = [&](int a, std::int64_t i) HWY_ATTR {
    fetch_half(x, next_x, i);
    fetch_half(dy, next_dy, i);
    const VF g = load_whole(d, dy + i);
    s1[a] = hn::Add(s1[a], g);
    s2[a] = hn::MulAdd(g, centred(row, load_whole(d, x + i)), s2[a]);
  };
  std::int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    step(0, i);
    step(1, i + lanes);
    step(2, i + 2 * lanes);
    step(3, i + 3 * lanes);
  }
  for (; i + lanes <= count; i += lanes) step(0, i);
  if (i < count) {
    const VF g = load_part(d, dy + i, count - i);
    s1[1] = hn::Add(s1[1], g);
    s2[1] = hn::MulAdd(g, centred(row, load_part(d, x + i, count - i)), s2[1]);
  }
  return {sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3]))),
          sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])))};
}

template <class T>
inline void reduce_runs(const RowGradientJob& job, const RowCut& cut, std::int64_t row,
                        const Range& channels, double* g, double* g_centred) {
  const double mean = job.state.mean[static_cast<std::size_t>(row)];
  const RowLanes lanes = row_lanes(F32(), row_numbers(job.state, row));
  const bool extreme = extreme_row(job.state, row);
  for (std::int64_t k = channels.begin; k < channels.end; ++k) {
    RowSums total;
    for (std::int64_t i = 0; i < cut.s; i += RowCut::kBlockValues) {
      const std::int64_t count = std::min(RowCut::kBlockValues, cut.s - i);
      const std::int64_t base = row * cut.length() + k * cut.s + i;
      const T* x = static_cast<const T*>(job.x.data) + base;
      const T* dy = static_cast<const T*>(job.dy.data) + base;
      RowSums block = run_sums(lanes, x, dy, first_half(job.passage, x, k * cut.s + i),
                               first_half(job.passage, dy, k * cut.s + i), count);
      if (row_sums_need_double(job.state, cut, row, extreme, block)) {
        block = exact_channel_sums(x, dy, {1, count, count}, mean);
      }
      total.g += block.g;
      total.g_centred += block.g_centred;
    }
    g[k] = total.g;
    g_centred[k] = total.g_centred;
  }
}

/// f32 sums of neighbouring channels.
struct ColumnRowSums {
  HWY_ALIGN float g[ColumnNumbers::kPadded];
  HWY_ALIGN float g_centred[ColumnNumbers::kPadded];
};

/// Over a few positions, channels last.
template <class T>
inline void total_column_rows(const ColumnNumbers& numbers, const T* x, const T* dy,
                              std::int64_t width, std::int64_t positions, std::int64_t stride,
                              ColumnRowSums& out) {
  const F32 d;
  std::fill(out.g, out.g + ColumnNumbers::kPadded, 0.0F);
  std::fill(out.g_centred, out.g_centred + ColumnNumbers::kPadded, 0.0F);
  const std::int64_t ahead = rows_ahead<T>(width) * stride;
  for_each_together<kRowQuad>(0, positions, [&](auto rows, std::int64_t p) HWY_ATTR {
    constexpr std::int64_t kRows = decltype(rows)::value;
    for_each_column(width, [&](auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
      constexpr bool kWhole = decltype(whole)::value;
      if (kWhole && kRows == kRowQuad && (kPack<T> == 1 || i / valid % kPack<T> == 0)) {
        fetch_quad(x + p * stride + ahead + i, stride);
        fetch_quad(dy + p * stride + ahead + i, stride);
      }
      const RowLanes lanes = numbers.rows<kWhole>(d, i, valid);
      VF sum[2] = {hn::Zero(d), hn::Zero(d)};
      VF sum_centred[2] = {hn::Zero(d), hn::Zero(d)};
      for (std::int64_t r = 0; r < kRows; ++r) {
        const std::int64_t at = (p + r) * stride + i;
        const VF value = load<kWhole>(d, dy + at, valid);
        sum[r % 2] = hn::Add(sum[r % 2], value);
        sum_centred[r % 2] =
            hn::MulAdd(value, centred(lanes, load<kWhole>(d, x + at, valid)), sum_centred[r % 2]);
      }
      hn::Store(hn::Add(hn::Load(d, out.g + i), hn::Add(sum[0], sum[1])), d, out.g + i);
      hn::Store(hn::Add(hn::Load(d, out.g_centred + i), hn::Add(sum_centred[0], sum_centred[1])), d,
                out.g_centred + i);
    });
  });
}

/// Channels [c0, c1) of a sample, at most kSlab, over a range of positions.
template <class T>
inline void reduce_columns(const RowGradientJob& job, const RowCut& cut, std::int64_t sample,
                           std::int64_t c0, std::int64_t c1, const Range& positions, double* g,
                           double* g_centred) {
  ColumnNumbers numbers;
  fill_numbers(job.state, cut, sample, c0, c1, nullptr, nullptr, numbers);
  const std::int64_t stride = cut.sample_channels();
  std::fill(g, g + (c1 - c0), 0.0);
  std::fill(g_centred, g_centred + (c1 - c0), 0.0);
  ColumnRowSums sums;
  for (std::int64_t p = positions.begin; p < positions.end; p += RowCut::kColumnRows) {
    const std::int64_t rows = std::min(RowCut::kColumnRows, positions.end - p);
    const std::int64_t base = cut.offset(sample, c0, p);
    const T* x = static_cast<const T*>(job.x.data) + base;
    const T* dy = static_cast<const T*>(job.dy.data) + base;
    total_column_rows(numbers, x, dy, c1 - c0, rows, stride, sums);
    for_each_group_in(cut, c0, c1, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
      const std::int64_t row = sample * cut.groups + group;
      for (std::int64_t k = begin - c0; k < end - c0; ++k) {
        RowSums block{static_cast<double>(sums.g[k]), static_cast<double>(sums.g_centred[k])};
        if (row_sums_need_double(job.state, cut, row, numbers.extreme[k], block)) {
          block = exact_channel_sums(x + k, dy + k, {rows, stride, 1},
                                     job.state.mean[static_cast<std::size_t>(row)]);
        }
        g[k] += block.g;
        g_centred[k] += block.g_centred;
      }
    });
  }
}

template <class T>
inline void reduce_channels(const RowGradientJob& job, const RowCut& cut, std::int64_t unit,
                            std::int64_t slice, double* g, double* g_centred) {
  const Range range = cut.slice(slice);
  if (cut.kind == RowKind::channel_first) {
    reduce_runs<T>(job, cut, unit, range, g, g_centred);
    return;
  }
  const Range groups = cut.groups_of(unit);
  const std::int64_t begin = groups.begin * cut.channels;
  const std::int64_t end = groups.end * cut.channels;
  for (std::int64_t c = begin; c < end; c += RowCut::kSlab) {
    reduce_columns<T>(job, cut, cut.sample_of(unit), c, std::min(end, c + RowCut::kSlab), range,
                      g + (c - begin), g_centred + (c - begin));
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
