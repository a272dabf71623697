// The reference of the row geometry: scalar, in double, one row after the other. f64 tensors run
// it; the kernels of the other dtypes are checked against it.
#include "norm/row_scalar.h"

namespace evenkeel::norm {
namespace {

/// Calls f(row, index of the row in its unit) for the rows of a unit.
template <class F>
void for_each_row(const RowCut& cut, std::int64_t unit, F&& f) {
  for (std::int64_t i = 0; i < cut.groups_of(unit).size(); ++i) f(cut.first_row(unit) + i, i);
}

/// Calls f(offset, channel of the sample) for every value of a row.
template <class F>
void for_each_value(const RowCut& cut, std::int64_t row, F&& f) {
  for (std::int64_t k = 0; k < cut.channels; ++k) {
    const std::int64_t channel = row % cut.groups * cut.channels + k;
    for (std::int64_t s = 0; s < cut.s; ++s) f(cut.offset(row / cut.groups, channel, s), channel);
  }
}

/// A row in memory: one run per channel, or per position where channels lie side by side.
Patch patch_of(const RowCut& cut) {
  if (cut.kind == RowKind::channel_last) return {cut.s, cut.sample_channels(), cut.channels};
  return {cut.channels, cut.s, cut.s};
}

void collect(const ConstRowView& x, const RowCut& cut, Centre centre, std::int64_t unit,
             std::int64_t /*part*/, std::int64_t /*ahead*/, ShiftedSums* sums) {
  with_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_row(cut, unit, [&](std::int64_t row, std::int64_t i) {
      const std::int64_t channel = row % cut.groups * cut.channels;
      const T* values = static_cast<const T*>(x.data) + cut.offset(row / cut.groups, channel, 0);
      const auto count = static_cast<double>(cut.length());
      if (centre == Centre::zero) {
        sums[i] = {count, 0, 0, exact_squares(values, patch_of(cut))};
        return;
      }
      const auto [mean, m2] = exact_moments(values, patch_of(cut));
      sums[i] = {count, mean, 0, m2};
    });
  });
}

void normalize(const RowNormalizeJob& job, const RowCut& cut, std::int64_t unit,
               std::int64_t /*slice*/) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = static_cast<const T*>(job.x.data);
    T* y = static_cast<T*>(job.y.data);
    for_each_row(cut, unit, [&](std::int64_t row, std::int64_t /*i*/) {
      for_each_value(cut, row, [&](std::int64_t at, std::int64_t channel) {
        y[at] = stored<T>(exact_row_value(in_double(x[at]), job, row, channel));
      });
    });
  });
}

void reduce_elements(const RowGradientJob& job, const RowCut& cut, const Bundle& bundle,
                     std::int64_t /*part*/, RowSums* sums, double* dgamma, double* dbeta) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t channel = bundle.g * cut.channels;
    for (std::int64_t n = bundle.n0; n < bundle.n1; ++n) {
      const std::int64_t row = n * cut.groups + bundle.g;
      const T* x = static_cast<const T*>(job.x.data) + row * cut.length();
      const T* dy = static_cast<const T*>(job.dy.data) + row * cut.length();
      const RowSums row_sums = exact_element_sums(x, dy, cut.length(), job, row, channel);
      sums[n - bundle.n0].g += row_sums.g;
      sums[n - bundle.n0].g_centred += row_sums.g_centred;
      if (dgamma == nullptr) continue;
      exact_contributions(x, dy, cut.length(), job.state, row, dgamma + channel, dbeta + channel);
    }
  });
}

void reduce_channels(const RowGradientJob& job, const RowCut& cut, std::int64_t unit,
                     std::int64_t /*slice*/, double* g, double* g_centred) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool last = cut.kind == RowKind::channel_last;
    const Patch channel_patch =
        last ? Patch{cut.s, cut.sample_channels(), 1} : Patch{1, cut.s, cut.s};
    for_each_row(cut, unit, [&](std::int64_t row, std::int64_t i) {
      for (std::int64_t k = 0; k < cut.channels; ++k) {
        const std::int64_t channel = row % cut.groups * cut.channels + k;
        const std::int64_t base = cut.offset(row / cut.groups, channel, 0);
        const RowSums sums = exact_channel_sums(
            static_cast<const T*>(job.x.data) + base, static_cast<const T*>(job.dy.data) + base,
            channel_patch, job.state.mean[static_cast<std::size_t>(row)]);
        g[i * cut.channels + k] = sums.g;
        g_centred[i * cut.channels + k] = sums.g_centred;
      }
    });
  });
}

void propagate(const RowGradientJob& job, const RowCut& cut, std::int64_t unit,
               std::int64_t /*slice*/, const RowSums* sums) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = static_cast<const T*>(job.x.data);
    const T* dy = static_cast<const T*>(job.dy.data);
    T* dx = static_cast<T*>(job.dx.data);
    for_each_row(cut, unit, [&](std::int64_t row, std::int64_t i) {
      const RowSlopes slopes = slopes_of(job, cut, row, sums[i]);
      for_each_value(cut, row, [&](std::int64_t at, std::int64_t channel) {
        dx[at] = stored<T>(
            exact_row_gradient(in_double(x[at]), in_double(dy[at]), job, row, channel, slopes));
      });
    });
  });
}

}  // namespace

const RowImplementation kRowReference{
    true, collect, normalize, reduce_elements, reduce_channels, propagate};

}  // namespace evenkeel::norm
