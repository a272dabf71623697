// The backward pass: sums of g and g·(x−μ) per block, then dx = scale·((g − a) − (x−μ)·b).
#if defined(EVENKEEL_NORM_CPU_GRADIENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#undef EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#else
#define EVENKEEL_NORM_CPU_GRADIENT_INL_H_
#endif

#include <limits>

#include "norm/cpu/collect-inl.h"
#include "norm/cpu/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// Where a vector of a row begins; the mask's bit i is that of x[i].
struct GradientAt {
  const float *x, *dy;
  const std::uint8_t* mask;
  float *dx, *dadd;  // propagate only
  bool stream;       // whole vectors of dx and dadd bypass the cache

  HWY_INLINE GradientAt row(std::int64_t r, std::int64_t stride, std::int64_t mask_stride) const {
    return {x + r * stride,
            dy + r * stride,
            mask != nullptr ? mask + r * mask_stride : nullptr,
            dx != nullptr ? dx + r * stride : nullptr,
            dadd != nullptr ? dadd + r * stride : nullptr,
            stream};
  }
};

/// Fetches the lines of x and dy `ahead` values behind i, unless that is 0.
HWY_INLINE void fetch_pair(const GradientAt& at, std::int64_t i, std::int64_t ahead) {
  if (ahead == 0) return;
  hwy::Prefetch(at.x + i + ahead);
  hwy::Prefetch(at.dy + i + ahead);
}

inline GradientAt gradient_at(const GradientJob& job, const Cut& cut, std::int64_t r,
                              std::int64_t c, bool stream = false) {
  const std::int64_t base = cut.offset(r, c);
  GradientAt at{static_cast<const float*>(job.x.data) + base,
                static_cast<const float*>(job.dy.data) + base, nullptr, nullptr, nullptr, stream};
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

/// dy behind the activation; with kAnywhere i need not be a multiple of the lanes.
template <bool kWhole, Activation kActivation, bool kAnywhere = false>
HWY_INLINE VF masked(const GradientAt& at, float slope, std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF dy = load<kWhole>(d, at.dy + i, valid);
  if constexpr (kActivation == Activation::none) {
    return dy;
  } else {
    const auto passed = kAnywhere ? load_mask_at(d, at.mask, i) : load_mask(d, at.mask, i);
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
constexpr float kLeastProducts = 1e-25F;
inline bool sums_need_double(const GradientJob& job, const Cut& cut, std::int64_t c, double g,
                             double centred) {
  const bool vanished = std::abs(centred) < static_cast<double>(kLeastProducts) &&
                        (centred != 0 || g != 0);
  return cut.few() || vanished || !std::isfinite(g) || !std::isfinite(centred) ||
         job.coefficients.extreme[static_cast<std::size_t>(c)] != 0;
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
    const std::int64_t ahead = job.passage.ahead;
    const auto step = [&](int a, std::int64_t i) HWY_ATTR {
      const VF g = masked<true, kActivation>(at, slope, i, lanes);
      s1[a] = hn::Add(s1[a], g);
      s2[a] = hn::MulAdd(g, centred<true>(centre, at, i, lanes), s2[a]);
    };
    std::int64_t i = block.s0;
    for (; i + 4 * lanes <= block.s1; i += 4 * lanes) {
      fetch_pair(at, i / 2, ahead);
      fetch_pair(at, i / 2 + lanes, ahead);
      step(0, i);
      step(1, i + lanes);
      step(2, i + 2 * lanes);
      step(3, i + 3 * lanes);
    }
    if (i < block.s1) fetch_pair(at, i / 2, ahead);
    int a = 0;
    for (; i + lanes <= block.s1; i += lanes) step(a++, i);
    if (i < block.s1) {
      const std::int64_t valid = block.s1 - i;
      const VF g = masked<false, kActivation>(at, slope, i, valid);
      s1[3] = hn::Add(s1[3], g);
      s2[3] = hn::MulAdd(g, centred<false>(centre, at, i, valid), s2[3]);
    }
  }
  g_sum = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  centred_sum = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
}

/// Adds kRows rows to the sums of a vector column, channels last.
template <bool kWhole, std::size_t kRows, Activation kActivation>
HWY_INLINE void add_gradient_rows(const CentreLanes& centre, const GradientAt& at, float slope,
                                  std::int64_t i, std::int64_t valid, std::int64_t stride,
                                  std::int64_t mask_stride, float* g_sum, float* centred_sum) {
  const F32 d;
  VF g[kRows], products[kRows];
  for (std::size_t r = 0; r < kRows; ++r) {
    const GradientAt row = at.row(static_cast<std::int64_t>(r), stride, mask_stride);
    g[r] = masked<kWhole, kActivation>(row, slope, i, valid);
    products[r] = centred<kWhole>(centre, row, i, valid);
    products[r] = r % 2 == 0 ? hn::Mul(g[r], products[r])
                             : hn::MulAdd(g[r], products[r], products[r - 1]);
  }
  VF total = g[0];
  VF product = products[0];
  if constexpr (kRows == 4) {
    total = hn::Add(hn::Add(g[0], g[1]), hn::Add(g[2], g[3]));
    product = hn::Add(products[1], products[3]);
  }
  hn::Store(hn::Add(hn::Load(d, g_sum), total), d, g_sum);
  hn::Store(hn::Add(hn::Load(d, centred_sum), product), d, centred_sum);
}

/// Σg and Σg·(x−μ) of the columns of kRows rows, added to `totals`.
template <std::size_t kRows, Activation kActivation>
void add_gradients(const GradientJob& job, const Cut& cut, std::int64_t row, std::int64_t c,
                   std::int64_t width, ColumnTotals& totals) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto slope = static_cast<float>(job.epilogue.slope);
  const std::int64_t mask_stride = cut.mask_row_bytes();
  const GradientAt at = gradient_at(job, cut, row, c);
  std::int64_t j = 0;
  for (; j + lanes <= width; j += lanes) {
    add_gradient_rows<true, kRows, kActivation>(centres_of<true>(d, job, c + j, lanes), at, slope,
                                                j, lanes, cut.channels, mask_stride,
                                                totals.s1 + j, totals.s2 + j);
  }
  if (j < width) {
    add_gradient_rows<false, kRows, kActivation>(
        centres_of<false>(d, job, c + j, width - j), at, slope, j, width - j, cut.channels,
        mask_stride, totals.s1 + j, totals.s2 + j);
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

template <Activation kActivation>
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
        add_gradients<kRowQuad, kActivation>(job, cut, r, c, width, totals);
      }
      for (; r < block.row1; ++r) add_gradients<1, kActivation>(job, cut, r, c, width, totals);
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
            exact_gradient_sums<float>(job, cut, block, c + k, g, centred);
          }
          g_out[c + k] += g;
          centred_out[c + k] += centred;
        }
      }
    }
  }
}

template <Activation kActivation>
void reduce_as(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
               std::int64_t group, double* g_out, double* centred_out) {
  if (cut.last) {
    reduce_last<kActivation>(job, cut, c0, c1, group, g_out, centred_out);
    return;
  }
  std::fill(g_out + c0, g_out + c1, 0.0);
  std::fill(centred_out + c0, centred_out + c1, 0.0);
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    for (std::int64_t c = c0; c < c1; ++c) {
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
template <bool kWhole, Activation kActivation, bool kConstant, bool kAnywhere = false>
HWY_INLINE void propagate_vector(const PropagateLanes& lanes, const GradientAt& at, float slope,
                                 std::int64_t i, std::int64_t valid) {
  const F32 d;
  const VF g = masked<kWhole, kActivation, kAnywhere>(at, slope, i, valid);
  VF bracket = g;
  if constexpr (!kConstant) {
    bracket = hn::NegMulAdd(centred<kWhole>(lanes.centre, at, i, valid), lanes.b,
                            hn::Sub(hn::Sub(g, lanes.a_hi), lanes.a_lo));
  }
  if (at.dadd != nullptr) put<kWhole>(g, d, at.dadd + i, valid, at.stream);
  put<kWhole>(hn::Mul(bracket, lanes.scale), d, at.dx + i, valid, at.stream);
}

/// A row of one channel.
template <Activation kActivation, bool kConstant>
HWY_INLINE void propagate_row(const PropagateLanes& lanes, const GradientAt& at, float slope,
                              std::int64_t length, std::int64_t ahead) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = 0;
  for (; i + 2 * step <= length; i += 2 * step) {
    fetch_pair(at, i / 2, ahead);
    propagate_vector<true, kActivation, kConstant>(lanes, at, slope, i, step);
    propagate_vector<true, kActivation, kConstant>(lanes, at, slope, i + step, step);
  }
  for (; i + step <= length; i += step) {
    propagate_vector<true, kActivation, kConstant>(lanes, at, slope, i, step);
  }
  if (i < length) {
    propagate_vector<false, kActivation, kConstant>(lanes, at, slope, i, length - i);
  }
}

/// A row of one channel whose whole vectors of dx bypass the cache wherever it begins; dadd, where it is
/// wanted, begins at the same place of a line.
template <Activation kActivation, bool kConstant>
HWY_INLINE void stream_gradient_row(const PropagateLanes& lanes, const GradientAt& at, float slope,
                                    std::int64_t length, std::int64_t ahead) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t i = lanes_before_line(at.dx, length);
  if (i > 0) propagate_vector<false, kActivation, kConstant, true>(lanes, at, slope, 0, i);
  for (; i + step <= length; i += step) {
    fetch_pair(at, i / 2, ahead);
    propagate_vector<true, kActivation, kConstant, true>(lanes, at, slope, i, step);
  }
  if (i < length) {
    propagate_vector<false, kActivation, kConstant, true>(lanes, at, slope, i, length - i);
  }
}

/// Whether dx and dadd of every row begin at the same place of a line.
inline bool gradients_in_step(const GradientJob& job) {
  if (!job.dadd->has_value()) return true;
  const auto bytes = static_cast<std::uintptr_t>(hn::Lanes(F32()) * sizeof(float));
  return reinterpret_cast<std::uintptr_t>(job.dx.data) % bytes ==
         reinterpret_cast<std::uintptr_t>((*job.dadd)->data) % bytes;
}

/// Channels [0, width) of kRows neighbouring rows of many channels; c0 is the first one's number.
template <std::int64_t kRows, Activation kActivation, bool kConstant>
HWY_INLINE void propagate_channels(const GradientJob& job, const GradientAt& at, std::int64_t c0,
                                   std::int64_t width, std::int64_t stride,
                                   std::int64_t mask_stride) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const auto slope = static_cast<float>(job.epilogue.slope);
  std::int64_t i = 0;
  for (; i + step <= width; i += step) {
    const PropagateLanes lanes = propagate_lanes<true>(d, job, c0 + i, step);
    for (std::int64_t r = 0; r < kRows; ++r) {
      propagate_vector<true, kActivation, kConstant>(lanes, at.row(r, stride, mask_stride), slope,
                                                     i, step);
    }
  }
  if (i == width) return;
  const PropagateLanes lanes = propagate_lanes<false>(d, job, c0 + i, width - i);
  for (std::int64_t r = 0; r < kRows; ++r) {
    propagate_vector<false, kActivation, kConstant>(lanes, at.row(r, stride, mask_stride), slope,
                                                    i, width - i);
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

/// Whether the outputs of rows that begin at channel c can bypass the cache.
inline bool can_stream_gradients(const GradientJob& job, std::int64_t c, std::int64_t stride) {
  if (!job.passage.stream || !can_stream(static_cast<float*>(job.dx.data) + c, stride)) return false;
  return !job.dadd->has_value() || can_stream(static_cast<float*>((*job.dadd)->data) + c, stride);
}

template <Activation kActivation, bool kConstant>
void propagate_first(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                     std::int64_t row0, std::int64_t row1) {
  const bool aligned = can_stream_gradients(job, 0, cut.s);
  const bool anywhere = job.passage.stream && !aligned && gradients_in_step(job);
  const std::int64_t ahead = job.passage.ahead != 0 ? job.passage.ahead + cut.s / 2 : 0;
  for (std::int64_t r = row0; r < row1; ++r) {
    for (std::int64_t c = c0; c < c1; ++c) {
      const auto k = static_cast<std::size_t>(c);
      if (job.coefficients.wide[k] == 0) {
        const auto run = anywhere ? stream_gradient_row<kActivation, kConstant>
                                  : propagate_row<kActivation, kConstant>;
        run(propagate_lanes(F32(), job, k), gradient_at(job, cut, r, c, aligned || anywhere),
            static_cast<float>(job.epilogue.slope), cut.s, ahead);
        continue;
      }
      for (std::int64_t i = 0; i < cut.s; ++i) {
        const std::int64_t offset = cut.offset(r, c) + i;
        put_wide(job, wide_gradient(job, c, offset, cut.mask_row(r, c), i), offset);
      }
    }
  }
}

/// Channels [c0, c1) of rows [row0, row1).
template <Activation kActivation, bool kConstant>
void propagate_rows(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  const bool stream = can_stream_gradients(job, c0, cut.channels);
  const std::int64_t mask_stride = cut.mask_row_bytes();
  std::int64_t r = row0;
  for (; r + kRowsAtOnce <= row1; r += kRowsAtOnce) {
    propagate_channels<kRowsAtOnce, kActivation, kConstant>(
        job, gradient_at(job, cut, r, c0, stream), c0, c1 - c0, cut.channels, mask_stride);
  }
  for (; r < row1; ++r) {
    propagate_channels<1, kActivation, kConstant>(job, gradient_at(job, cut, r, c0, stream), c0,
                                                  c1 - c0, cut.channels, mask_stride);
  }
}

template <Activation kActivation, bool kConstant>
void propagate_last(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  const Coefficients& q = job.coefficients;
  if (!any_wide_in(q, c0, c1)) {
    propagate_rows<kActivation, kConstant>(job, cut, c0, c1, row0, row1);
    return;
  }
  if (c1 - c0 > Cut::kSlab) {
    for (std::int64_t c = c0; c < c1; c += Cut::kSlab) {
      propagate_last<kActivation, kConstant>(job, cut, c, std::min(c1, c + Cut::kSlab), row0, row1);
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
    propagate_rows<kActivation, kConstant>(job, cut, c0, c1, r, r + 1);
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
  } else {
    propagate_first<kActivation, kConstant>(job, cut, c0, c1, row0, row1);
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
