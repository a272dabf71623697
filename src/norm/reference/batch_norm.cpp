// The reference: scalar, in double, one channel after the other. f64 tensors run it; the kernels
// of the other dtypes are checked against it.
#include "norm/row_implementation.h"
#include "norm/scalar.h"

namespace evenkeel::norm {
namespace {

/// The part of channel c in rows [row0, row1).
Block rows_of(const Cut& cut, std::int64_t row0, std::int64_t row1) {
  return {row0, row1, 0, cut.s};
}

/// Exact sums need no centre.
void find_centres(const CollectJob& /*job*/, const Cut& /*cut*/, std::int64_t /*c0*/,
                  std::int64_t /*c1*/) {}

void collect(const CollectJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
             std::int64_t /*group*/, double* pivot, double* first, double* second) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t c = c0; c < c1; ++c) {
      const Block all = cut.block(0);
      const T* values = static_cast<const T*>(job.x.data) + cut.offset(all, c);
      const auto [mean, m2] = exact_moments(values, cut.patch(all));
      pivot[c] = mean;
      first[c] = 0;
      second[c] = m2;
    }
  });
}

void normalize(const NormalizeJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
               std::int64_t row0, std::int64_t row1) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = static_cast<const T*>(job.x.data);
    T* y = static_cast<T*>(job.y.data);
    for (std::int64_t c = c0; c < c1; ++c) {
      for_each_element(
          cut, rows_of(cut, row0, row1), c, [&](std::int64_t i, std::int64_t byte, int bit) {
            bool passed = true;
            const auto z = static_cast<Arithmetic<T>>(exact_normalized(in_double(x[i]), job, c));
            y[i] = stored<T>(epilogue_value<T>(z, job.epilogue, i, passed));
            if (job.mask != nullptr) {
              const auto flag = static_cast<unsigned>(1 << bit);
              job.mask[byte] = static_cast<std::uint8_t>(passed ? job.mask[byte] | flag
                                                                : job.mask[byte] & ~flag);
            }
          });
    }
  });
}

void reduce(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
            std::int64_t /*group*/, double* g, double* g_centred) {
  with_dtype(job.x.dtype, [&](auto zero) {
    for (std::int64_t c = c0; c < c1; ++c) {
      exact_gradient_sums<decltype(zero)>(job, cut, cut.block(0), c, g[c], g_centred[c]);
    }
  });
}

void propagate(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
               std::int64_t row0, std::int64_t row1) {
  with_dtype(job.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = static_cast<const T*>(job.x.data);
    T* dx = static_cast<T*>(job.dx.data);
    T* dadd = job.dadd->has_value() ? static_cast<T*>((*job.dadd)->data) : nullptr;
    for (std::int64_t c = c0; c < c1; ++c) {
      for_each_element(cut, rows_of(cut, row0, row1), c,
                       [&](std::int64_t i, std::int64_t byte, int bit) {
                         const auto g = masked_gradient<T>(job, i, byte, bit);
                         const double value =
                             exact_input_gradient(in_double(x[i]), static_cast<double>(g), job, c);
                         if (dadd != nullptr) dadd[i] = stored<T>(g);
                         dx[i] = stored<T>(value);
                       });
    }
  });
}

}  // namespace

const Implementation kReference{true,   find_centres, collect,       normalize,
                                reduce, propagate,    &kRowReference};

}  // namespace evenkeel::norm
