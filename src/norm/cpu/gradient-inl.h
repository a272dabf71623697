// The backward pass: sums of g and g·(x−μ) per block, then dx = scale·((g − a) − (x−μ)·b).
#if defined(EVENKEEL_NORM_CPU_GRADIENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#undef EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#else
#define EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#endif

#include "norm/cpu/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

struct GradientRow {
  const float *x, *dy;
  const std::uint8_t* mask;
  const float *hi, *lo;
  float slope;
  // propagate only
  const float *scale, *a_hi, *a_lo, *b;
  float *dx, *dadd;
};

/// dy behind the activation.
template <bool kWhole, Activation kActivation>
HWY_INLINE VF gradient_at(const GradientRow& row, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF dy = load<kWhole>(d, row.dy + i, valid);
  if constexpr (kActivation == Activation::none) {
    return dy;
  } else {
    const auto passed = load_mask(d, row.mask, i);
    if constexpr (kActivation == Activation::relu) return hn::IfThenElseZero(passed, dy);
    return hn::IfThenElse(passed, dy, hn::Mul(dy, hn::Set(d, row.slope)));
  }
}

template <bool kPerLane, bool kWhole>
HWY_INLINE VF centred_at(const GradientRow& row, std::int64_t i, std::int64_t valid) {
  const F32 d;
  return hn::Sub(hn::Sub(load<kWhole>(d, row.x + i, valid),
                         per_channel<kPerLane, kWhole>(d, row.hi, i, valid)),
                 per_channel<kPerLane, kWhole>(d, row.lo, i, valid));
}

inline GradientRow gradient_row(const GradientJob& job, const Cut& cut, std::int64_t r,
                                std::int64_t c) {
  const std::int64_t base = cut.offset(r, c);
  const auto k = static_cast<std::size_t>(c);
  const Coefficients& q = job.coefficients;
  GradientRow row{};
  row.x = static_cast<const float*>(job.x.data) + base;
  row.dy = static_cast<const float*>(job.dy.data) + base;
  row.mask = job.epilogue.activation == Activation::none
                 ? nullptr
                 : job.state.mask.data() + cut.mask_row(r, c) + (cut.last ? c / 8 : 0);
  row.hi = &q.hi[k];
  row.lo = &q.lo[k];
  row.slope = job.epilogue.slope;
  return row;
}

/// Whether the f32 sums of a block of channel c may have lost digits: too few values, products that
/// left the range or nearly vanished.
inline bool sums_need_double(const GradientJob& job, const Cut& cut, std::int64_t c, double g,
                             double centred) {
  const auto i = static_cast<std::size_t>(c);
  const bool vanished = std::abs(centred) < 1e-25 && (centred != 0 || g != 0);
  return cut.few() || vanished || !std::isfinite(g) || !std::isfinite(centred) ||
         extreme_statistics(job.state.mean[i], job.state.var[i], job.state.inv_std[i]);
}

template <Activation kActivation>
void block_sums_first(const GradientJob& job, const Cut& cut, const Block& block, std::int64_t c,
                      double& g_sum, double& centred_sum) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const VF zero = hn::Zero(d);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  for (std::int64_t r = block.row0; r < block.row1; ++r) {
    const GradientRow row = gradient_row(job, cut, r, c);
    const auto step = [&](int a, std::int64_t i) HWY_ATTR {
      const VF g = gradient_at<true, kActivation>(row, i, lanes);
      s1[a] = hn::Add(s1[a], g);
      s2[a] = hn::MulAdd(g, centred_at<false, true>(row, i, lanes), s2[a]);
    };
    std::int64_t i = block.s0;
    for (; i + 4 * lanes <= block.s1; i += 4 * lanes) {
      step(0, i);
      step(1, i + lanes);
      step(2, i + 2 * lanes);
      step(3, i + 3 * lanes);
    }
    for (; i + lanes <= block.s1; i += lanes) step(0, i);
    if (i < block.s1) {
      const std::int64_t valid = block.s1 - i;
      const VF g = gradient_at<false, kActivation>(row, i, valid);
      s1[1] = hn::Add(s1[1], g);
      s2[1] = hn::MulAdd(g, centred_at<false, false>(row, i, valid), s2[1]);
    }
  }
  g_sum = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  centred_sum = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
}

/// One vector column of a channels-last block; two accumulators in turn.
template <bool kWhole, Activation kActivation>
HWY_INLINE void column_gradient_sums(const GradientJob& job, const Cut& cut, const Block& block,
                                     std::int64_t c0, std::int64_t j, std::int64_t valid,
                                     float* g_sum, float* centred_sum) {
  const F32 d;
  const VF zero = hn::Zero(d);
  VF g0 = zero, g1 = zero, h0 = zero, h1 = zero;
  std::int64_t r = block.row0;
  for (; r + 2 <= block.row1; r += 2) {
    const GradientRow first = gradient_row(job, cut, r, c0);
    const GradientRow second = gradient_row(job, cut, r + 1, c0);
    const VF a = gradient_at<kWhole, kActivation>(first, j, valid);
    const VF b = gradient_at<kWhole, kActivation>(second, j, valid);
    g0 = hn::Add(g0, a);
    g1 = hn::Add(g1, b);
    h0 = hn::MulAdd(a, centred_at<true, kWhole>(first, j, valid), h0);
    h1 = hn::MulAdd(b, centred_at<true, kWhole>(second, j, valid), h1);
  }
  if (r < block.row1) {
    const GradientRow row = gradient_row(job, cut, r, c0);
    const VF a = gradient_at<kWhole, kActivation>(row, j, valid);
    g0 = hn::Add(g0, a);
    h0 = hn::MulAdd(a, centred_at<true, kWhole>(row, j, valid), h0);
  }
  hn::StoreU(hn::Add(g0, g1), d, g_sum);
  hn::StoreU(hn::Add(h0, h1), d, centred_sum);
}

template <Activation kActivation>
void reduce_last(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                 std::int64_t group, double* g_out, double* centred_out) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  constexpr std::int64_t kPadded = Cut::kSlab + HWY_MAX_BYTES / sizeof(float);
  float g[kPadded], centred[kPadded];
  const std::int64_t width = c1 - c0;
  double g_total[Cut::kSlab] = {};
  double centred_total[Cut::kSlab] = {};
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    std::int64_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      column_gradient_sums<true, kActivation>(job, cut, block, c0, j, lanes, g + j, centred + j);
    }
    if (j < width) {
      column_gradient_sums<false, kActivation>(job, cut, block, c0, j, width - j, g + j,
                                               centred + j);
    }
    for (std::int64_t k = 0; k < width; ++k) {
      double block_g = static_cast<double>(g[k]);
      double block_centred = static_cast<double>(centred[k]);
      if (sums_need_double(job, cut, c0 + k, block_g, block_centred)) {
        exact_gradient_sums<float>(job, cut, block, c0 + k, block_g, block_centred);
      }
      g_total[k] += block_g;
      centred_total[k] += block_centred;
    }
  }
  for (std::int64_t k = 0; k < width; ++k) {
    g_out[c0 + k] = g_total[k];
    centred_out[c0 + k] = centred_total[k];
  }
}

template <Activation kActivation>
void reduce_as(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
               std::int64_t group, double* g_out, double* centred_out) {
  if (cut.last) {
    reduce_last<kActivation>(job, cut, c0, c1, group, g_out, centred_out);
    return;
  }
  for (std::int64_t c = c0; c < c1; ++c) {
    g_out[c] = 0;
    centred_out[c] = 0;
    for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
      const Block block = cut.block(b);
      double g = 0;
      double centred = 0;
      block_sums_first<kActivation>(job, cut, block, c, g, centred);
      if (sums_need_double(job, cut, c, g, centred)) {
        exact_gradient_sums<float>(job, cut, block, c, g, centred);
      }
      g_out[c] += g;
      centred_out[c] += centred;
    }
  }
}

template <bool kPerLane, bool kWhole, Activation kActivation>
HWY_INLINE void propagate_vector(const GradientRow& row, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF g = gradient_at<kWhole, kActivation>(row, i, valid);
  const VF centred = centred_at<kPerLane, kWhole>(row, i, valid);
  if (row.dadd != nullptr) store<kWhole>(g, d, row.dadd + i, valid);
  const VF left = hn::Sub(hn::Sub(g, per_channel<kPerLane, kWhole>(d, row.a_hi, i, valid)),
                          per_channel<kPerLane, kWhole>(d, row.a_lo, i, valid));
  const VF bracket =
      hn::NegMulAdd(centred, per_channel<kPerLane, kWhole>(d, row.b, i, valid), left);
  store<kWhole>(hn::Mul(bracket, per_channel<kPerLane, kWhole>(d, row.scale, i, valid)), d,
                row.dx + i, valid);
}

/// Statistics that were constants: dx = scale·g.
template <bool kPerLane, bool kWhole, Activation kActivation>
HWY_INLINE void scale_vector(const GradientRow& row, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF g = gradient_at<kWhole, kActivation>(row, i, valid);
  if (row.dadd != nullptr) store<kWhole>(g, d, row.dadd + i, valid);
  store<kWhole>(hn::Mul(g, per_channel<kPerLane, kWhole>(d, row.scale, i, valid)), d, row.dx + i,
                valid);
}

template <bool kPerLane, Activation kActivation>
HWY_INLINE void propagate_row(const GradientRow& row, std::int64_t length, bool constant) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = 0;
  if (constant) {
    for (; i + lanes <= length; i += lanes) scale_vector<kPerLane, true, kActivation>(row, i, lanes);
    if (i < length) scale_vector<kPerLane, false, kActivation>(row, i, length - i);
    return;
  }
  for (; i + lanes <= length; i += lanes) {
    propagate_vector<kPerLane, true, kActivation>(row, i, lanes);
  }
  if (i < length) propagate_vector<kPerLane, false, kActivation>(row, i, length - i);
}

struct WideGradient {
  std::int64_t channel;
  float dx, g;
};

inline WideGradient wide_gradient(const GradientJob& job, std::int64_t c, std::int64_t offset,
                                  std::int64_t mask_row, std::int64_t bit) {
  const auto x = static_cast<double>(static_cast<const float*>(job.x.data)[offset]);
  const float g =
      masked_gradient<float>(job, offset, mask_row + bit / 8, static_cast<int>(bit % 8));
  return {c, static_cast<float>(exact_input_gradient(x, static_cast<double>(g), job, c)), g};
}

inline void put_wide(const GradientJob& job, const WideGradient& value, std::int64_t offset) {
  if (job.dadd->has_value()) static_cast<float*>((*job.dadd)->data)[offset] = value.g;
  static_cast<float*>(job.dx.data)[offset] = value.dx;
}

template <Activation kActivation>
void propagate_as(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                  std::int64_t row0, std::int64_t row1) {
  const Coefficients& q = job.coefficients;
  float* const dadd = job.dadd->has_value() ? static_cast<float*>((*job.dadd)->data) : nullptr;
  const auto full_row = [&](std::int64_t r, std::int64_t c) {
    GradientRow row = gradient_row(job, cut, r, c);
    const auto k = static_cast<std::size_t>(c);
    const std::int64_t base = cut.offset(r, c);
    row.scale = &q.scale[k];
    row.a_hi = &job.a_hi[k];
    row.a_lo = &job.a_lo[k];
    row.b = &job.b_f32[k];
    row.dx = static_cast<float*>(job.dx.data) + base;
    row.dadd = dadd != nullptr ? dadd + base : nullptr;
    return row;
  };
  if (!cut.last) {
    for (std::int64_t c = c0; c < c1; ++c) {
      for (std::int64_t r = row0; r < row1; ++r) {
        if (q.wide[static_cast<std::size_t>(c)] == 0) {
          propagate_row<false, kActivation>(full_row(r, c), cut.s, job.constant_statistics);
          continue;
        }
        for (std::int64_t i = 0; i < cut.s; ++i) {
          const std::int64_t offset = cut.offset(r, c) + i;
          put_wide(job, wide_gradient(job, c, offset, cut.mask_row(r, c), i), offset);
        }
      }
    }
    return;
  }
  WideGradient wide[Cut::kSlab];
  for (std::int64_t r = row0; r < row1; ++r) {
    std::size_t wide_count = 0;
    if (q.any_wide) {
      for (std::int64_t c = c0; c < c1; ++c) {
        if (q.wide[static_cast<std::size_t>(c)] != 0) {
          wide[wide_count++] = wide_gradient(job, c, cut.offset(r, c), cut.mask_row(r, 0), c);
        }
      }
    }
    propagate_row<true, kActivation>(full_row(r, c0), c1 - c0, job.constant_statistics);
    for (std::size_t w = 0; w < wide_count; ++w) {
      put_wide(job, wide[w], cut.offset(r, wide[w].channel));
    }
  }
}

inline void reduce(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                   std::int64_t group, double* g, double* g_centred) {
  switch (job.epilogue.activation) {
    case Activation::none:
      return reduce_as<Activation::none>(job, cut, c0, c1, group, g, g_centred);
    case Activation::relu:
      return reduce_as<Activation::relu>(job, cut, c0, c1, group, g, g_centred);
    case Activation::leaky_relu:
      return reduce_as<Activation::leaky_relu>(job, cut, c0, c1, group, g, g_centred);
  }
}

inline void propagate(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                      std::int64_t row0, std::int64_t row1) {
  switch (job.epilogue.activation) {
    case Activation::none:
      return propagate_as<Activation::none>(job, cut, c0, c1, row0, row1);
    case Activation::relu:
      return propagate_as<Activation::relu>(job, cut, c0, c1, row0, row1);
    case Activation::leaky_relu:
      return propagate_as<Activation::leaky_relu>(job, cut, c0, c1, row0, row1);
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
