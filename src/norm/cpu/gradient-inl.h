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

/// Where a vector of a row begins; the mask's bit i is that of x[i].
struct GradientAt {
  const float *x, *dy;
  const std::uint8_t* mask;
  float *dx, *dadd;  // propagate only

  void advance(std::int64_t stride, std::int64_t mask_stride) {
    x += stride;
    dy += stride;
    if (mask != nullptr) mask += mask_stride;
    if (dx != nullptr) dx += stride;
    if (dadd != nullptr) dadd += stride;
  }
};

inline GradientAt gradient_at(const GradientJob& job, const Cut& cut, std::int64_t r,
                              std::int64_t c) {
  const std::int64_t base = cut.offset(r, c);
  GradientAt at{static_cast<const float*>(job.x.data) + base,
                static_cast<const float*>(job.dy.data) + base, nullptr, nullptr, nullptr};
  if (job.epilogue.activation != Activation::none) {
    at.mask = job.state.mask.data() + cut.mask_row(r, c) + (cut.last ? c / 8 : 0);
  }
  if (job.dx.data != nullptr) at.dx = static_cast<float*>(job.dx.data) + base;
  if (job.dadd != nullptr && job.dadd->has_value()) {
    at.dadd = static_cast<float*>((*job.dadd)->data) + base;
  }
  return at;
}

/// The numbers of one channel in all lanes, or of as many channels as there are lanes.
struct CentreLanes {
  VF hi, lo;
};
struct PropagateLanes {
  CentreLanes centre;
  VF scale, a_hi, a_lo, b;
};

HWY_INLINE CentreLanes centre_of(F32 d, const GradientJob& job, std::size_t c) {
  return {hn::Set(d, job.coefficients.hi[c]), hn::Set(d, job.coefficients.lo[c])};
}

template <bool kWhole>
HWY_INLINE CentreLanes centres_of(F32 d, const GradientJob& job, std::int64_t c,
                                  std::int64_t valid) {
  return {load<kWhole>(d, job.coefficients.hi.data() + c, valid),
          load<kWhole>(d, job.coefficients.lo.data() + c, valid)};
}

HWY_INLINE PropagateLanes propagate_lanes(F32 d, const GradientJob& job, std::size_t c) {
  return {centre_of(d, job, c), hn::Set(d, job.coefficients.scale[c]), hn::Set(d, job.a_hi[c]),
          hn::Set(d, job.a_lo[c]), hn::Set(d, job.b_f32[c])};
}

template <bool kWhole>
HWY_INLINE PropagateLanes propagate_lanes(F32 d, const GradientJob& job, std::int64_t c,
                                          std::int64_t valid) {
  return {centres_of<kWhole>(d, job, c, valid),
          load<kWhole>(d, job.coefficients.scale.data() + c, valid),
          load<kWhole>(d, job.a_hi.data() + c, valid), load<kWhole>(d, job.a_lo.data() + c, valid),
          load<kWhole>(d, job.b_f32.data() + c, valid)};
}

/// dy behind the activation.
template <bool kWhole, Activation kActivation>
HWY_INLINE VF masked(const GradientAt& at, float slope, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF dy = load<kWhole>(d, at.dy + i, valid);
  if constexpr (kActivation == Activation::none) {
    return dy;
  } else {
    const auto passed = load_mask(d, at.mask, i);
    if constexpr (kActivation == Activation::relu) return hn::IfThenElseZero(passed, dy);
    return hn::IfThenElse(passed, dy, hn::Mul(dy, hn::Set(d, slope)));
  }
}

template <bool kWhole>
HWY_INLINE VF centred(const CentreLanes& lanes, const GradientAt& at, std::int64_t i,
                      std::int64_t valid) {
  return hn::Sub(hn::Sub(load<kWhole>(F32(), at.x + i, valid), lanes.hi), lanes.lo);
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
  const auto slope = static_cast<float>(job.epilogue.slope);
  const CentreLanes centre = centre_of(d, job, static_cast<std::size_t>(c));
  const VF zero = hn::Zero(d);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  for (std::int64_t r = block.row0; r < block.row1; ++r) {
    const GradientAt at = gradient_at(job, cut, r, c);
    const auto step = [&](int a, std::int64_t i) HWY_ATTR {
      const VF g = masked<true, kActivation>(at, slope, i, lanes);
      s1[a] = hn::Add(s1[a], g);
      s2[a] = hn::MulAdd(g, centred<true>(centre, at, i, lanes), s2[a]);
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
      const VF g = masked<false, kActivation>(at, slope, i, valid);
      s1[1] = hn::Add(s1[1], g);
      s2[1] = hn::MulAdd(g, centred<false>(centre, at, i, valid), s2[1]);
    }
  }
  g_sum = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  centred_sum = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
}

/// One vector column of a channels-last block; two accumulators in turn.
template <bool kWhole, Activation kActivation>
HWY_INLINE void column_gradient_sums(const GradientJob& job, const Cut& cut, const Block& block,
                                     std::int64_t c0, std::int64_t i, std::int64_t valid,
                                     float* g_sum, float* centred_sum) {
  const F32 d;
  const auto slope = static_cast<float>(job.epilogue.slope);
  const std::int64_t mask_stride = cut.mask_row_bytes();
  const CentreLanes centre = centres_of<kWhole>(d, job, c0 + i, valid);
  VF g0 = hn::Zero(d), g1 = g0, h0 = g0, h1 = g0;
  GradientAt at = gradient_at(job, cut, block.row0, c0);
  std::int64_t r = block.row0;
  for (; r + 2 <= block.row1; r += 2) {
    const VF a = masked<kWhole, kActivation>(at, slope, i, valid);
    g0 = hn::Add(g0, a);
    h0 = hn::MulAdd(a, centred<kWhole>(centre, at, i, valid), h0);
    at.advance(cut.channels, mask_stride);
    const VF b = masked<kWhole, kActivation>(at, slope, i, valid);
    g1 = hn::Add(g1, b);
    h1 = hn::MulAdd(b, centred<kWhole>(centre, at, i, valid), h1);
    at.advance(cut.channels, mask_stride);
  }
  if (r < block.row1) {
    const VF a = masked<kWhole, kActivation>(at, slope, i, valid);
    g0 = hn::Add(g0, a);
    h0 = hn::MulAdd(a, centred<kWhole>(centre, at, i, valid), h0);
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

/// dx, and dadd where it is wanted. With constant statistics dx = scale·g.
template <bool kWhole, Activation kActivation, bool kConstant>
HWY_INLINE void propagate_vector(const PropagateLanes& lanes, const GradientAt& at, float slope,
                                 std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF g = masked<kWhole, kActivation>(at, slope, i, valid);
  VF bracket = g;
  if constexpr (!kConstant) {
    bracket = hn::NegMulAdd(centred<kWhole>(lanes.centre, at, i, valid), lanes.b,
                            hn::Sub(hn::Sub(g, lanes.a_hi), lanes.a_lo));
  }
  if (at.dadd != nullptr) store<kWhole>(g, d, at.dadd + i, valid);
  store<kWhole>(hn::Mul(bracket, lanes.scale), d, at.dx + i, valid);
}

/// A row of one channel.
template <Activation kActivation, bool kConstant>
HWY_INLINE void propagate_row(const PropagateLanes& lanes, const GradientAt& at, float slope,
                              std::int64_t length) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = 0;
  for (; i + step <= length; i += step) {
    propagate_vector<true, kActivation, kConstant>(lanes, at, slope, i, step);
  }
  if (i < length) {
    propagate_vector<false, kActivation, kConstant>(lanes, at, slope, i, length - i);
  }
}

/// One vector column of several rows of many channels.
template <bool kWhole, Activation kActivation, bool kConstant>
HWY_INLINE void propagate_column(const PropagateLanes& lanes, GradientAt at, float slope,
                                 std::int64_t i, std::int64_t valid, std::int64_t rows,
                                 std::int64_t stride, std::int64_t mask_stride) {
  for (std::int64_t r = 0; r < rows; ++r) {
    propagate_vector<kWhole, kActivation, kConstant>(lanes, at, slope, i, valid);
    at.advance(stride, mask_stride);
  }
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

template <Activation kActivation, bool kConstant>
void propagate_first(const GradientJob& job, const Cut& cut, std::int64_t c, std::int64_t row0,
                     std::int64_t row1) {
  const auto k = static_cast<std::size_t>(c);
  const PropagateLanes lanes = propagate_lanes(F32(), job, k);
  for (std::int64_t r = row0; r < row1; ++r) {
    if (job.coefficients.wide[k] == 0) {
      propagate_row<kActivation, kConstant>(lanes, gradient_at(job, cut, r, c),
                                            static_cast<float>(job.epilogue.slope), cut.s);
      continue;
    }
    for (std::int64_t i = 0; i < cut.s; ++i) {
      const std::int64_t offset = cut.offset(r, c) + i;
      put_wide(job, wide_gradient(job, c, offset, cut.mask_row(r, c), i), offset);
    }
  }
}

/// Channels [c0, c1) of `rows` rows from row r on.
template <Activation kActivation, bool kConstant>
void propagate_rows(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t r, std::int64_t rows) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const GradientAt at = gradient_at(job, cut, r, c0);
  const auto slope = static_cast<float>(job.epilogue.slope);
  const std::int64_t width = c1 - c0;
  const std::int64_t mask_stride = cut.mask_row_bytes();
  std::int64_t i = 0;
  for (; i + step <= width; i += step) {
    propagate_column<true, kActivation, kConstant>(propagate_lanes<true>(d, job, c0 + i, step), at,
                                                   slope, i, step, rows, cut.channels, mask_stride);
  }
  if (i < width) {
    propagate_column<false, kActivation, kConstant>(
        propagate_lanes<false>(d, job, c0 + i, width - i), at, slope, i, width - i, rows,
        cut.channels, mask_stride);
  }
}

template <Activation kActivation, bool kConstant>
void propagate_last(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  const Coefficients& q = job.coefficients;
  if (!any_wide_in(q, c0, c1)) {
    for (std::int64_t r = row0; r < row1; r += kRowsAtOnce) {
      propagate_rows<kActivation, kConstant>(job, cut, c0, c1, r, std::min(kRowsAtOnce, row1 - r));
    }
    return;
  }
  // Wide channels are computed before the row is overwritten (dx may be dy) and put in afterwards.
  WideGradient wide[Cut::kSlab];
  for (std::int64_t r = row0; r < row1; ++r) {
    std::size_t count = 0;
    for (std::int64_t c = c0; c < c1; ++c) {
      if (q.wide[static_cast<std::size_t>(c)] != 0) {
        wide[count++] = wide_gradient(job, c, cut.offset(r, c), cut.mask_row(r, 0), c);
      }
    }
    propagate_rows<kActivation, kConstant>(job, cut, c0, c1, r, 1);
    for (std::size_t w = 0; w < count; ++w) {
      put_wide(job, wide[w], cut.offset(r, wide[w].channel));
    }
  }
}

template <Activation kActivation, bool kConstant>
void propagate_with(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  if (cut.last) {
    propagate_last<kActivation, kConstant>(job, cut, c0, c1, row0, row1);
    return;
  }
  for (std::int64_t c = c0; c < c1; ++c) {
    propagate_first<kActivation, kConstant>(job, cut, c, row0, row1);
  }
}

template <Activation kActivation>
void propagate_as(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                  std::int64_t row0, std::int64_t row1) {
  (job.constant_statistics ? propagate_with<kActivation, true> : propagate_with<kActivation, false>)(
      job, cut, c0, c1, row0, row1);
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
