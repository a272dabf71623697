// The normalizing pass over rows: (((x − hi) − lo)·inv)·γ + β, element by element.
#if defined(EVENKEEL_NORM_CPU_ROW_NORMALIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_ROW_NORMALIZE_INL_H_
#undef EVENKEEL_NORM_CPU_ROW_NORMALIZE_INL_H_
#else
#define EVENKEEL_NORM_CPU_ROW_NORMALIZE_INL_H_
#endif

#include "norm/cpu/row_vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// γ and β per element where kGamma and kBeta say so, else the same for all.
struct RunAffine {
  const float *gammas, *betas;
  float gamma = 1, beta = 0;
};

/// Fetches half of what lies at `next`, as long as the run, unless that is null.
template <bool kGamma, bool kBeta, bool kStream, class T>
void normalize_run(const RowLanes& row, const T* x, const T* next, const RunAffine& affine, T* y,
                   std::int64_t count) {
  const F32 d;
  write_elements<kStream>(y, count, [&](std::int64_t i, std::int64_t valid, auto whole) HWY_ATTR {
    constexpr bool kWhole = decltype(whole)::value;
    const VF g = affine_lanes<kWhole, kGamma>(d, affine.gammas, i, valid, affine.gamma);
    const VF b = affine_lanes<kWhole, kBeta>(d, affine.betas, i, valid, affine.beta);
    fetch_half(x, next, i);
    return normalized(row, load<kWhole>(d, x + i, valid), g, b);
  });
}

template <bool kStream, class T>
void normalize_elements(const RowLanes& row, const T* x, const T* next, const RunAffine& affine,
                        T* y, std::int64_t count) {
  const bool beta = affine.betas != nullptr;
  const auto run =
      affine.gammas != nullptr
          ? (beta ? normalize_run<true, true, kStream, T> : normalize_run<true, false, kStream, T>)
          : (beta ? normalize_run<false, true, kStream, T>
                  : normalize_run<false, false, kStream, T>);
  run(row, x, next, affine, y, count);
}

template <class T>
inline void normalize_element_slice(const RowNormalizeJob& job, const RowCut& cut, std::int64_t row,
                                    const Range& slice) {
  const std::int64_t first = row % cut.groups * cut.channels + slice.begin;  // of γ and β
  const std::int64_t base = row * cut.length() + slice.begin;
  const T* x = static_cast<const T*>(job.x.data) + base;
  T* y = static_cast<T*>(job.y.data) + base;
  if (extreme_row(job.state, row)) {
    for (std::int64_t i = 0; i < slice.size(); ++i) {
      y[i] = stored<T>(exact_row_value(in_double(x[i]), job, row, first + i));
    }
    return;
  }
  const RowLanes lanes = row_lanes(F32(), row_numbers(job.state, row));
  const RunAffine affine{job.gamma != nullptr ? job.gamma + first : nullptr,
                         job.beta != nullptr ? job.beta + first : nullptr};
  (job.passage.stream
       ? normalize_elements<true, T>
       : normalize_elements<false, T>)(lanes, x,
                                       second_half(job.passage, x, slice.begin, cut.length()),
                                       affine, y, slice.size());
}

template <class T>
inline void normalize_channel_slice(const RowNormalizeJob& job, const RowCut& cut, std::int64_t row,
                                    const Range& slice) {
  const bool extreme = extreme_row(job.state, row);
  const RowLanes lanes = row_lanes(F32(), row_numbers(job.state, row));
  for (std::int64_t k = slice.begin; k < slice.end; ++k) {
    const std::int64_t c = row % cut.groups * cut.channels + k;
    const std::int64_t base = row * cut.length() + k * cut.s;
    const T* x = static_cast<const T*>(job.x.data) + base;
    T* y = static_cast<T*>(job.y.data) + base;
    if (!extreme) {
      const RunAffine affine{nullptr, nullptr, job.gamma != nullptr ? job.gamma[c] : 1.F,
                             job.beta != nullptr ? job.beta[c] : 0.F};
      (job.passage.stream
           ? normalize_run<false, false, true, T>
           : normalize_run<false, false, false, T>)(lanes, x,
                                                    second_half(job.passage, x, k * cut.s,
                                                                cut.length()),
                                                    affine, y, cut.s);
      continue;
    }
    for (std::int64_t i = 0; i < cut.s; ++i) {
      y[i] = stored<T>(exact_row_value(in_double(x[i]), job, row, c));
    }
  }
}

/// Neighbouring channels of a few positions, channels last.
template <bool kStream, class T>
void normalize_columns(const ColumnNumbers& numbers, const T* x, T* y, std::int64_t width,
                       std::int64_t positions, std::int64_t stride) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t ahead = rows_ahead<T>(width) * stride;
  for_each_together<kRowQuad>(0, positions, [&](auto rows, std::int64_t p) HWY_ATTR {
    constexpr std::int64_t kRows = decltype(rows)::value;
    for_each_pack<T>(width, [&](auto vectors, auto whole, std::int64_t i,
                                std::int64_t valid) HWY_ATTR {
      constexpr std::int64_t kVectors = decltype(vectors)::value;
      constexpr bool kWhole = decltype(whole)::value;
      if constexpr (kVectors > 1 && kRows == kRowQuad) {
        fetch_quad(x + p * stride + ahead + i, stride);
      }
      Each<RowLanes, kVectors> lanes;
      Each<VF, kVectors> gamma, beta;
      for (std::int64_t v = 0; v < kVectors; ++v) {
        lanes[v] = numbers.rows<kWhole>(d, i + v * step, valid);
        gamma[v] = load<kWhole>(d, numbers.gamma + i + v * step, valid);
        beta[v] = load<kWhole>(d, numbers.beta + i + v * step, valid);
      }
      for (std::int64_t r = 0; r < kRows; ++r) {
        const std::int64_t at = (p + r) * stride + i;
        Each<VF, kVectors> z;
        for (std::int64_t v = 0; v < kVectors; ++v) {
          z[v] = normalized(lanes[v], load<kWhole>(d, x + at + v * step, valid), gamma[v], beta[v]);
        }
        put<kVectors, kWhole>(z, d, y + at, valid, kStream);
      }
    });
  });
}

/// Channels [c0, c1) of a sample over a range of positions, channels last.
template <class T>
inline void normalize_column_slice(const RowNormalizeJob& job, const RowCut& cut,
                                   std::int64_t sample, std::int64_t c0, std::int64_t c1,
                                   const Range& positions) {
  ColumnNumbers numbers;
  fill_numbers(job.state, cut, sample, c0, c1, job.gamma, job.beta, numbers);
  const std::int64_t stride = cut.sample_channels();
  const std::int64_t at_once = numbers.any_extreme ? 1 : positions.size();
  const bool stream = job.passage.stream && !numbers.any_extreme &&
                      can_stream(static_cast<const T*>(job.y.data) + c0, stride);
  for (std::int64_t p = positions.begin; p < positions.end; p += at_once) {
    const std::int64_t base = cut.offset(sample, c0, p);
    const T* x = static_cast<const T*>(job.x.data) + base;
    T* y = static_cast<T*>(job.y.data) + base;
    // What is extreme is computed before it is overwritten (y may be x) and put in afterwards.
    float exact[RowCut::kSlab];
    for (std::int64_t k = 0; numbers.any_extreme && k < c1 - c0; ++k) {
      if (!numbers.extreme[k]) continue;
      exact[k] = static_cast<float>(exact_row_value(
          in_double(x[k]), job, sample * cut.groups + (c0 + k) / cut.channels, c0 + k));
    }
    const std::int64_t rows = std::min(at_once, positions.end - p);
    (stream ? normalize_columns<true, T> : normalize_columns<false, T>)(numbers, x, y, c1 - c0,
                                                                        rows, stride);
    for (std::int64_t k = 0; numbers.any_extreme && k < c1 - c0; ++k) {
      if (numbers.extreme[k]) y[k] = stored<T>(exact[k]);
    }
  }
}

template <class T>
inline void normalize_rows(const RowNormalizeJob& job, const RowCut& cut, std::int64_t unit,
                           std::int64_t slice) {
  const Range range = cut.slice(slice);
  switch (cut.kind) {
    case RowKind::element:
      normalize_element_slice<T>(job, cut, unit, range);
      break;
    case RowKind::channel_first:
      normalize_channel_slice<T>(job, cut, unit, range);
      break;
    case RowKind::channel_last: {
      const Range groups = cut.groups_of(unit);
      const std::int64_t end = groups.end * cut.channels;
      for (std::int64_t c = groups.begin * cut.channels; c < end; c += RowCut::kSlab) {
        normalize_column_slice<T>(job, cut, cut.sample_of(unit), c,
                                  std::min(end, c + RowCut::kSlab), range);
      }
      break;
    }
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
