// What an implementation provides for the row geometry, in units of work that the driver spreads
// over threads.
#pragma once

#include "norm/implementation.h"
#include "norm/row_cut.h"
#include <evenkeel/norm/row_norm.h>

namespace evenkeel::norm {

/// The kernels compute (((x − hi) − lo)·inv)·γ + β with the mean as hi + lo; rows whose statistics
/// leave the range in which that is exact enough are computed in double.
struct RowNormalizeJob {
  ConstRowView x;
  RowView y;
  const RowNormState& state;
  const Affine& affine;
  const float *gamma, *beta;  ///< the values of `affine` in f32; null where it has none
  Passage passage;
};

/// The kernels compute inv·((γ·dy − a) − (x−μ)·b), a as hi + lo.
struct RowGradientJob {
  ConstRowView x, dy;
  RowView dx;  ///< of propagate
  const RowNormState& state;
  const Affine& affine;
  const float* gamma;
  Centre centre;
  Passage passage;
};

/// Σγ·dy and Σγ·dy·(x−μ) of a row.
struct RowSums {
  double g = 0, g_centred = 0;

  void add(const RowSums& other) {
    g += other.g;
    g_centred += other.g_centred;
  }
};

/// One row of each of the samples [n0, n1), all of group g: they share γ and β.
struct Bundle {
  std::int64_t n0, n1, g;
};

struct RowImplementation {
  bool whole_rows;  ///< wants a RowCut with one part and slice
  /// Overwrites the sums of a unit's rows over one part. `ahead` is as in Passage.
  void (*collect)(const ConstRowView& x, const RowCut& cut, Centre centre, std::int64_t unit,
                  std::int64_t part, std::int64_t ahead, ShiftedSums* sums);
  void (*normalize)(const RowNormalizeJob& job, const RowCut& cut, std::int64_t unit,
                    std::int64_t slice);
  /// Adds the sums of a bundle's rows over one part to sums[0 …], and Σdy·x̂ and Σdy per element to
  /// dgamma and dbeta, which have a place for every value of γ; null where nobody wants them.
  void (*reduce_elements)(const RowGradientJob& job, const RowCut& cut, const Bundle& bundle,
                          std::int64_t part, RowSums* sums, double* dgamma, double* dbeta);
  /// Overwrites Σdy and Σdy·(x−μ) of a unit's channels over one slice: of all of them channels
  /// last, of those of the slice channels first. g[0] is the unit's first channel.
  void (*reduce_channels)(const RowGradientJob& job, const RowCut& cut, std::int64_t unit,
                          std::int64_t slice, double* g, double* g_centred);
  /// Overwrites dx; sums[0] is the unit's first row.
  void (*propagate)(const RowGradientJob& job, const RowCut& cut, std::int64_t unit,
                    std::int64_t slice, const RowSums* sums);
};

extern const RowImplementation kRowReference;

/// a = mean(g) and b = mean(g·(x−μ))/(σ²+ε) of a row, from its sums.
struct RowSlopes {
  double a, b;
};
inline RowSlopes slopes_of(const RowGradientJob& job, const RowCut& cut, std::int64_t row,
                           const RowSums& sums) {
  const auto count = static_cast<double>(cut.length());
  const double inv_std = job.state.inv_std[static_cast<std::size_t>(row)];
  return {job.centre == Centre::mean ? sums.g / count : 0.0,
          sums.g_centred / count * inv_std * inv_std};
}

/// Whether f32 differences and products of this row would lose digits or overflow.
inline bool extreme_row(const RowNormState& state, std::int64_t row) {
  const auto i = static_cast<std::size_t>(row);
  return extreme_statistics(state.mean[i], state.var[i], state.inv_std[i]);
}

}  // namespace evenkeel::norm
