// The first pass of the backward direction: Σg and Σg·(x−μ) per block.
#if defined(EVENKEEL_NORM_CPU_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_REDUCE_INL_H_
#undef EVENKEEL_NORM_CPU_REDUCE_INL_H_
#else
#define EVENKEEL_NORM_CPU_REDUCE_INL_H_
#endif

#include <limits>

#include "norm/cpu/block-inl.h"
#include "norm/cpu/columns-inl.h"
#include "norm/cpu/gradient-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Whether the f32 sums of a block of channel c may have lost digits: too few values, products that
/// left the range or nearly vanished.
constexpr float kLeastProducts = 1e-25F;
inline bool sums_need_double(const GradientJob& job, const Cut& cut, std::int64_t c, double g,
                             double centred) {
  const bool vanished =
      std::abs(centred) < static_cast<double>(kLeastProducts) && (centred != 0 || g != 0);
  return cut.few() || vanished || !std::isfinite(g) || !std::isfinite(centred) ||
         job.coefficients.extreme[static_cast<std::size_t>(c)] != 0;
}

template <class T, Activation kActivation, bool kAnywhere>
void block_sums_first(const GradientJob& job, const Cut& cut, const Block& block, std::int64_t c,
                      double& g_sum, double& centred_sum) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto slope = static_cast<float>(job.epilogue.slope);
  const CentreLanes centre = centre_of(d, job, static_cast<std::size_t>(c));
  const VF zero = hn::Zero(d);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  for (std::int64_t r = block.row0; r < block.row1; ++r) {
    const GradientAt<T> at = gradient_at<T>(job, cut, r, c);
    const std::int64_t ahead = cut.joined ? 0 : job.passage.ahead;  // the second pass fetches all
    const auto step = [&](std::size_t a, std::int64_t i) HWY_ATTR {
      const VF g = masked<true, kActivation, kAnywhere>(at, slope, i, lanes);
      s1[a] = hn::Add(s1[a], g);
      s2[a] = hn::MulAdd(g, centred<true>(centre, at, i, lanes), s2[a]);
    };
    std::int64_t i = block.s0;
    for (; i + 4 * lanes <= block.s1; i += 4 * lanes) {
      fetch_pair<4 / kPack<T>>(at, i, ahead);
      step(0, i);
      step(1, i + lanes);
      step(2, i + 2 * lanes);
      step(3, i + 3 * lanes);
    }
    if (i < block.s1) fetch_pair<1>(at, i, ahead);
    for_at_most_three(lanes, block.s1, i, [&](auto a) HWY_ATTR { step(a(), i); });
    if (i < block.s1) {
      const std::int64_t valid = block.s1 - i;
      const VF g = masked<false, kActivation, kAnywhere>(at, slope, i, valid);
      s1[3] = hn::Add(s1[3], g);
      s2[3] = hn::MulAdd(g, centred<false>(centre, at, i, valid), s2[3]);
    }
  }
  g_sum = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  centred_sum = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
}

/// Adds kRows rows to the sums of a vector column, channels last.
template <bool kWhole, std::int64_t kRows, Activation kActivation, class T>
HWY_INLINE void add_gradient_rows(const CentreLanes& centre, const GradientAt<T>& at, float slope,
                                  std::int64_t i, std::int64_t valid, std::int64_t stride,
                                  std::int64_t mask_stride, float* g_sum, float* centred_sum) {
  const F32 d;
  VF g[static_cast<std::size_t>(kRows)], products[static_cast<std::size_t>(kRows)];
  for (std::int64_t r = 0; r < kRows; ++r) {
    const GradientAt<T> row = at.row(r, stride, mask_stride);
    g[r] = masked<kWhole, kActivation>(row, slope, i, valid);
    products[r] = centred<kWhole>(centre, row, i, valid);
    products[r] =
        r % 2 == 0 ? hn::Mul(g[r], products[r]) : hn::MulAdd(g[r], products[r], products[r - 1]);
  }
  VF total = g[0];
  VF product = products[0];
  if constexpr (kRows == kRowQuad) {
    total = hn::Add(hn::Add(g[0], g[1]), hn::Add(g[2], g[3]));
    product = hn::Add(products[1], products[3]);
  }
  hn::Store(hn::Add(hn::Load(d, g_sum), total), d, g_sum);
  hn::Store(hn::Add(hn::Load(d, centred_sum), product), d, centred_sum);
}

/// Σg and Σg·(x−μ) of the columns of kRows rows, added to `totals`.
template <class T, std::int64_t kRows, Activation kActivation>
void add_gradients(const GradientJob& job, const Cut& cut, std::int64_t row, std::int64_t c,
                   std::int64_t width, ColumnTotals& totals) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto slope = static_cast<float>(job.epilogue.slope);
  const std::int64_t mask_stride = cut.mask_row_bytes();
  const GradientAt<T> at = gradient_at<T>(job, cut, row, c);
  const std::int64_t ahead = rows_ahead<T>(width) * cut.channels;
  std::int64_t j = 0;
  for (; j + lanes <= width; j += lanes) {
    if (kRows == kRowQuad && (kPack<T> == 1 || j / lanes % kPack<T> == 0)) {
      fetch_quad(at.x + ahead + j, cut.channels);
      fetch_quad(at.dy + ahead + j, cut.channels);
    }
    add_gradient_rows<true, kRows, kActivation>(centres_of<true>(d, job, c + j, lanes), at, slope,
                                                j, lanes, cut.channels, mask_stride, totals.s1 + j,
                                                totals.s2 + j);
  }
  if (j < width) {
    add_gradient_rows<false, kRows, kActivation>(centres_of<false>(d, job, c + j, width - j), at,
                                                 slope, j, width - j, cut.channels, mask_stride,
                                                 totals.s1 + j, totals.s2 + j);
  }
}

/// Whether no lane's sums need double, as sums_need_double() says, apart from extreme channels.
HWY_INLINE bool gradient_sums_serve(const float* g, const float* centred) {
  const F32 d;
  const VF sum = hn::Load(d, g);
  const VF products = hn::Load(d, centred);
  const VF largest = hn::Set(d, std::numeric_limits<float>::max());
  const VF zero = hn::Zero(d);
  const auto finite = hn::And(hn::Le(hn::Abs(sum), largest), hn::Le(hn::Abs(products), largest));
  const auto there = hn::Ge(hn::Abs(products), hn::Set(d, kLeastProducts));
  const auto nothing = hn::And(hn::Eq(products, zero), hn::Eq(sum, zero));
  return hn::AllTrue(d, hn::And(finite, hn::Or(there, nothing)));
}

inline bool any_extreme_in(const Coefficients& q, std::int64_t c, std::int64_t width) {
  return std::memchr(q.extreme.data() + c, 1, static_cast<std::size_t>(width)) != nullptr;
}

template <class T, Activation kActivation>
void reduce_last(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                 std::int64_t group, double* g_out, double* centred_out) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  ColumnTotals totals;
  std::fill(g_out + c0, g_out + c1, 0.0);
  std::fill(centred_out + c0, centred_out + c1, 0.0);
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    for (std::int64_t c = c0; c < c1; c += kWideSlab) {
      const std::int64_t width = std::min(kWideSlab, c1 - c);
      totals.clear((width + lanes - 1) / lanes * lanes);
      std::int64_t r = block.row0;
      for (; r + kRowQuad <= block.row1; r += kRowQuad) {
        add_gradients<T, kRowQuad, kActivation>(job, cut, r, c, width, totals);
      }
      for (; r < block.row1; ++r) add_gradients<T, 1, kActivation>(job, cut, r, c, width, totals);
      for (std::int64_t j = 0; j < width; j += lanes) {
        const std::int64_t valid = std::min(lanes, width - j);
        if (valid == lanes && !cut.few() && gradient_sums_serve(totals.s1 + j, totals.s2 + j) &&
            !any_extreme_in(job.coefficients, c + j, lanes)) {
          widen(totals.s1 + j, lanes, false, g_out + c + j);
          widen(totals.s2 + j, lanes, false, centred_out + c + j);
          continue;
        }
        for (std::int64_t k = j; k < j + valid; ++k) {
          auto g = static_cast<double>(totals.s1[k]);
          auto centred = static_cast<double>(totals.s2[k]);
          if (sums_need_double(job, cut, c + k, g, centred)) {
            exact_gradient_sums<T>(job, cut, block, c + k, g, centred);
          }
          g_out[c + k] += g;
          centred_out[c + k] += centred;
        }
      }
    }
  }
}

template <class T, Activation kActivation>
void reduce_as(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
               std::int64_t group, double* g_out, double* centred_out) {
  if (cut.last) {
    reduce_last<T, kActivation>(job, cut, c0, c1, group, g_out, centred_out);
    return;
  }
  std::fill(g_out + c0, g_out + c1, 0.0);
  std::fill(centred_out + c0, centred_out + c1, 0.0);
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    for (std::int64_t c = c0; c < c1; ++c) {
      double g = 0;
      double centred = 0;
      (cut.joined ? block_sums_first<T, kActivation, true>
                  : block_sums_first<T, kActivation, false>)(job, cut, block, c, g, centred);
      if (sums_need_double(job, cut, c, g, centred)) {
        exact_gradient_sums<T>(job, cut, block, c, g, centred);
      }
      g_out[c] += g;
      centred_out[c] += centred;
    }
  }
}

template <class T>
inline void reduce(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                   std::int64_t group, double* g, double* g_centred) {
  switch (job.epilogue.activation) {
    case Activation::none:
      return reduce_as<T, Activation::none>(job, cut, c0, c1, group, g, g_centred);
    case Activation::relu:
      return reduce_as<T, Activation::relu>(job, cut, c0, c1, group, g, g_centred);
    case Activation::leaky_relu:
      return reduce_as<T, Activation::leaky_relu>(job, cut, c0, c1, group, g, g_centred);
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
