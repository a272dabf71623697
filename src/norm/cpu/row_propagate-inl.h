// The second pass of the backward direction over rows: dx = inv·((γ·dy − a) − (x−μ)·b).
#if defined(EVENKEEL_NORM_CPU_ROW_PROPAGATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_ROW_PROPAGATE_INL_H_
#undef EVENKEEL_NORM_CPU_ROW_PROPAGATE_INL_H_
#else
#define EVENKEEL_NORM_CPU_ROW_PROPAGATE_INL_H_
#endif

#include "norm/cpu/row_vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// a and b of a row in f32, a as two numbers.
struct SlopeNumbers {
  float a_hi, a_lo, b;
};

inline SlopeNumbers slope_numbers(const RowSlopes& slopes) {
  const auto hi = static_cast<float>(slopes.a);
  const float lo = std::isfinite(hi) ? static_cast<float>(slopes.a - static_cast<double>(hi)) : 0.F;
  return {hi, lo, static_cast<float>(slopes.b)};
}

/// Whether dx of this row is computed in double.
inline bool extreme_slopes(const RowGradientJob& job, const RowCut& cut, std::int64_t row,
                           const RowSlopes& slopes) {
  const bool finite = std::isfinite(slopes.a) && std::isfinite(slopes.b);
  return cut.few() || extreme_row(job.state, row) ||
         (finite && (leaves_f32_range(slopes.a, 0x1p-100, 0x1p100) ||
                     leaves_f32_range(slopes.b, 0x1p-100, 0x1p100)));
}

struct PropagateRowLanes {
  RowLanes row;
  VF a_hi, a_lo, b;
};

HWY_INLINE PropagateRowLanes propagate_row_lanes(F32 d, const RowNumbers& row,
                                                 const SlopeNumbers& slopes) {
  return {row_lanes(d, row), hn::Set(d, slopes.a_hi), hn::Set(d, slopes.a_lo),
          hn::Set(d, slopes.b)};
}

HWY_INLINE VF propagated(const PropagateRowLanes& lanes, VF x, VF dy, VF gamma) {
  const VF g = hn::Sub(hn::MulSub(dy, gamma, lanes.a_hi), lanes.a_lo);
  return hn::Mul(hn::NegMulAdd(centred(lanes.row, x), lanes.b, g), lanes.row.inv);
}

/// γ per element where kGamma, else `one` for all. Fetches half of what lies at `next_x` and
/// `next_dy`, unless these are null.
template <bool kGamma, bool kStream, class T>
void propagate_run(const PropagateRowLanes& row, const T* x, const T* dy, const T* next_x,
                   const T* next_dy, const float* gamma, float one, T* dx, std::int64_t count) {
  const F32 d;
  write_elements<kStream>(dx, count, [&](std::int64_t i, std::int64_t valid, auto whole) HWY_ATTR {
    constexpr bool kWhole = decltype(whole)::value;
    const VF weight = affine_lanes<kWhole, kGamma>(d, gamma, i, valid, one);
    fetch_half(x, next_x, i);
    fetch_half(dy, next_dy, i);
    return propagated(row, load<kWhole>(d, x + i, valid), load<kWhole>(d, dy + i, valid), weight);
  });
}

/// A run of a row of `length` values, from value i of it on, which lies at `base`: γ from `gammas`
/// on, or `one` for all.
template <class T>
inline void propagate_elements(const RowGradientJob& job, const PropagateRowLanes& row,
                               std::int64_t base, std::int64_t i, std::int64_t length,
                               const float* gammas, float one, std::int64_t count) {
  const auto run =
      gammas != nullptr
          ? (job.passage.stream ? propagate_run<true, true, T> : propagate_run<true, false, T>)
          : (job.passage.stream ? propagate_run<false, true, T> : propagate_run<false, false, T>);
  const T* x = static_cast<const T*>(job.x.data) + base;
  const T* dy = static_cast<const T*>(job.dy.data) + base;
  run(row, x, dy, second_half(job.passage, x, i, length), second_half(job.passage, dy, i, length),
      gammas, one, static_cast<T*>(job.dx.data) + base, count);
}

/// `count` neighbouring values of a row in double; their channel moves with them or stays.
template <class T>
inline void propagate_in_double(const RowGradientJob& job, std::int64_t row, std::int64_t base,
                                std::int64_t channel, std::int64_t channel_step,
                                const RowSlopes& slopes, std::int64_t count) {
  const T* x = static_cast<const T*>(job.x.data) + base;
  const T* dy = static_cast<const T*>(job.dy.data) + base;
  T* dx = static_cast<T*>(job.dx.data) + base;
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = stored<T>(exact_row_gradient(in_double(x[i]), in_double(dy[i]), job, row,
                                         channel + i * channel_step, slopes));
  }
}

template <class T>
inline void propagate_element_slice(const RowGradientJob& job, const RowCut& cut, std::int64_t row,
                                    const Range& slice, const RowSlopes& slopes) {
  const std::int64_t channel = row % cut.groups * cut.channels + slice.begin;
  const std::int64_t base = row * cut.length() + slice.begin;
  if (extreme_slopes(job, cut, row, slopes)) {
    propagate_in_double<T>(job, row, base, channel, 1, slopes, slice.size());
    return;
  }
  const PropagateRowLanes lanes =
      propagate_row_lanes(F32(), row_numbers(job.state, row), slope_numbers(slopes));
  propagate_elements<T>(job, lanes, base, slice.begin, cut.length(),
                        job.gamma != nullptr ? job.gamma + channel : nullptr, 1.F, slice.size());
}

template <class T>
inline void propagate_channel_slice(const RowGradientJob& job, const RowCut& cut, std::int64_t row,
                                    const Range& slice, const RowSlopes& slopes) {
  const bool extreme = extreme_slopes(job, cut, row, slopes);
  const PropagateRowLanes lanes =
      propagate_row_lanes(F32(), row_numbers(job.state, row), slope_numbers(slopes));
  for (std::int64_t k = slice.begin; k < slice.end; ++k) {
    const std::int64_t channel = row % cut.groups * cut.channels + k;
    const std::int64_t base = row * cut.length() + k * cut.s;
    if (extreme) {
      propagate_in_double<T>(job, row, base, channel, 0, slopes, cut.s);
      continue;
    }
    propagate_elements<T>(job, lanes, base, k * cut.s, cut.length(), nullptr,
                          job.gamma != nullptr ? job.gamma[channel] : 1.F, cut.s);
  }
}

/// The slopes of neighbouring channels, side by side, channels last.
struct ColumnSlopes {
  ColumnNumbers numbers;  // `extreme` is about dx here
  float a_hi[ColumnNumbers::kPadded], a_lo[ColumnNumbers::kPadded], b[ColumnNumbers::kPadded];
  RowSlopes exact[RowCut::kSlab];
};

/// sums[0] is the sample's group `group0`.
inline void fill_slopes(const RowGradientJob& job, const RowCut& cut, std::int64_t sample,
                        std::int64_t c0, std::int64_t c1, const RowSums* sums, std::int64_t group0,
                        ColumnSlopes& out) {
  fill_numbers(job.state, cut, sample, c0, c1, job.gamma, nullptr, out.numbers);
  for_each_group_in(cut, c0, c1, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
    const std::int64_t row = sample * cut.groups + group;
    const RowSlopes exact = slopes_of(job, cut, row, sums[group - group0]);
    const SlopeNumbers numbers = slope_numbers(exact);
    const bool extreme = extreme_slopes(job, cut, row, exact);
    out.numbers.any_extreme = out.numbers.any_extreme || extreme;
    for (std::int64_t k = begin - c0; k < end - c0; ++k) {
      out.exact[k] = exact;
      out.a_hi[k] = numbers.a_hi;
      out.a_lo[k] = numbers.a_lo;
      out.b[k] = numbers.b;
      out.numbers.extreme[k] = extreme;
    }
  });
}

/// Neighbouring channels of a few positions.
template <bool kStream, class T>
void propagate_columns(const ColumnSlopes& slopes, const T* x, const T* dy, T* dx,
                       std::int64_t width, std::int64_t positions, std::int64_t stride) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t ahead = rows_ahead<T>(width) * stride;
  for_each_together<kRowQuad>(0, positions, [&](auto rows, std::int64_t p) HWY_ATTR {
    constexpr std::int64_t kRows = decltype(rows)::value;
    for_each_pack<T>(
        width, [&](auto vectors, auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
          constexpr std::int64_t kVectors = decltype(vectors)::value;
          constexpr bool kWhole = decltype(whole)::value;
          if constexpr (kWhole && kRows == kRowQuad) {
            fetch_quad(x + p * stride + ahead + i, stride);
            fetch_quad(dy + p * stride + ahead + i, stride);
          }
          Each<PropagateRowLanes, kVectors> lanes;
          Each<VF, kVectors> gamma;
          for (std::int64_t v = 0; v < kVectors; ++v) {
            const std::int64_t k = i + v * step;
            lanes[v] = {
                slopes.numbers.rows<kWhole>(d, k, valid), load<kWhole>(d, slopes.a_hi + k, valid),
                load<kWhole>(d, slopes.a_lo + k, valid), load<kWhole>(d, slopes.b + k, valid)};
            gamma[v] = load<kWhole>(d, slopes.numbers.gamma + k, valid);
          }
          for (std::int64_t r = 0; r < kRows; ++r) {
            const std::int64_t at = (p + r) * stride + i;
            Each<VF, kVectors> z;
            for (std::int64_t v = 0; v < kVectors; ++v) {
              z[v] = propagated(lanes[v], load<kWhole>(d, x + at + v * step, valid),
                                load<kWhole>(d, dy + at + v * step, valid), gamma[v]);
            }
            put<kVectors, kWhole>(z, d, dx + at, valid, kStream);
          }
        });
  });
}

/// Channels [c0, c1) of a sample over a range of positions, channels last.
template <class T>
inline void propagate_column_slice(const RowGradientJob& job, const RowCut& cut,
                                   std::int64_t sample, std::int64_t c0, std::int64_t c1,
                                   const Range& positions, const ColumnSlopes& slopes) {
  const bool any_extreme = slopes.numbers.any_extreme;
  const std::int64_t width = c1 - c0;
  const std::int64_t stride = cut.sample_channels();
  const std::int64_t at_once = any_extreme ? 1 : positions.size();
  const bool stream = job.passage.stream && !any_extreme &&
                      can_stream(static_cast<const T*>(job.dx.data) + c0, stride);
  for (std::int64_t p = positions.begin; p < positions.end; p += at_once) {
    const std::int64_t base = cut.offset(sample, c0, p);
    const T* x = static_cast<const T*>(job.x.data) + base;
    const T* dy = static_cast<const T*>(job.dy.data) + base;
    T* dx = static_cast<T*>(job.dx.data) + base;
    // What is extreme is computed before it is overwritten (dx may be x or dy) and put in
    // afterwards.
    float exact[RowCut::kSlab];
    for (std::int64_t k = 0; any_extreme && k < width; ++k) {
      if (!slopes.numbers.extreme[k]) continue;
      const std::int64_t row = sample * cut.groups + (c0 + k) / cut.channels;
      exact[k] = static_cast<float>(
          exact_row_gradient(in_double(x[k]), in_double(dy[k]), job, row, c0 + k, slopes.exact[k]));
    }
    const std::int64_t rows = std::min(at_once, positions.end - p);
    (stream ? propagate_columns<true, T> : propagate_columns<false, T>)(slopes, x, dy, dx, width,
                                                                        rows, stride);
    for (std::int64_t k = 0; any_extreme && k < width; ++k) {
      if (slopes.numbers.extreme[k]) dx[k] = stored<T>(exact[k]);
    }
  }
}

template <class T>
inline void propagate_rows(const RowGradientJob& job, const RowCut& cut, std::int64_t unit,
                           std::int64_t slice, const RowSums* sums) {
  const Range range = cut.slice(slice);
  switch (cut.kind) {
    case RowKind::element:
      propagate_element_slice<T>(job, cut, unit, range, slopes_of(job, cut, unit, *sums));
      break;
    case RowKind::channel_first:
      propagate_channel_slice<T>(job, cut, unit, range, slopes_of(job, cut, unit, *sums));
      break;
    case RowKind::channel_last: {
      const Range groups = cut.groups_of(unit);
      const std::int64_t end = groups.end * cut.channels;
      for (std::int64_t c = groups.begin * cut.channels; c < end; c += RowCut::kSlab) {
        const std::int64_t c1 = std::min(end, c + RowCut::kSlab);
        ColumnSlopes slopes;
        fill_slopes(job, cut, cut.sample_of(unit), c, c1, sums, groups.begin, slopes);
        propagate_column_slice<T>(job, cut, cut.sample_of(unit), c, c1, range, slopes);
      }
      break;
    }
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
