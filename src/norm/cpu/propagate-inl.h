// The second pass of the backward direction: dx = scale·((g − a) − (x−μ)·b).
#if defined(EVENKEEL_NORM_CPU_PROPAGATE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_PROPAGATE_INL_H_
#undef EVENKEEL_NORM_CPU_PROPAGATE_INL_H_
#else
#define EVENKEEL_NORM_CPU_PROPAGATE_INL_H_
#endif

#include "norm/cpu/gradient-inl.h"
#include "norm/cpu/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

struct PropagateLanes {
  CentreLanes centre;
  VF scale, a_hi, a_lo, b;
};

HWY_INLINE PropagateLanes propagate_lanes(F32 d, const GradientJob& job, std::size_t c) {
  return {centre_of(d, job, c), hn::Set(d, job.coefficients.scale[c]), hn::Set(d, job.a_hi[c]),
          hn::Set(d, job.a_lo[c]), hn::Set(d, job.b_f32[c])};
}

HWY_INLINE PropagateLanes blend(hn::Mask<F32> first, const PropagateLanes& a,
                                const PropagateLanes& b) {
  const auto mix = [&](VF one, VF other) HWY_ATTR { return hn::IfThenElse(first, one, other); };
  return {{mix(a.centre.hi, b.centre.hi), mix(a.centre.lo, b.centre.lo)},
          mix(a.scale, b.scale),
          mix(a.a_hi, b.a_hi),
          mix(a.a_lo, b.a_lo),
          mix(a.b, b.b)};
}

template <bool kWhole>
HWY_INLINE PropagateLanes propagate_lanes(F32 d, const GradientJob& job, std::int64_t c,
                                          std::int64_t valid) {
  return {centres_of<kWhole>(d, job, c, valid),
          load<kWhole>(d, job.coefficients.scale.data() + c, valid),
          load<kWhole>(d, job.a_hi.data() + c, valid), load<kWhole>(d, job.a_lo.data() + c, valid),
          load<kWhole>(d, job.b_f32.data() + c, valid)};
}

/// A vector of g and of dx. With constant statistics dx = scale·g.
struct PropagatedVector {
  VF g, dx;
};

template <bool kWhole, Activation kActivation, bool kConstant, bool kAnywhere, class T>
HWY_INLINE PropagatedVector propagated_vector(const PropagateLanes& lanes, const GradientAt<T>& at,
                                              float slope, std::int64_t i, std::int64_t valid) {
  const VF g = masked<kWhole, kActivation, kAnywhere>(at, slope, i, valid);
  VF bracket = g;
  if constexpr (!kConstant) {
    bracket = hn::NegMulAdd(centred<kWhole>(lanes.centre, at, i, valid), lanes.b,
                            hn::Sub(hn::Sub(g, lanes.a_hi), lanes.a_lo));
  }
  return {g, hn::Mul(bracket, lanes.scale)};
}

/// A pack of dx or one vector of it, and of dadd where it is wanted; lanes[0 …] belong to the
/// vectors.
template <std::int64_t kVectors, bool kWhole, Activation kActivation, bool kConstant,
          bool kAnywhere = false, class T>
HWY_INLINE void propagate_vectors(const Each<PropagateLanes, kVectors>& lanes,
                                  const GradientAt<T>& at, float slope, std::int64_t i,
                                  std::int64_t valid) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  Each<VF, kVectors> g, dx;
  for (std::int64_t v = 0; v < kVectors; ++v) {
    const PropagatedVector one = propagated_vector<kWhole, kActivation, kConstant, kAnywhere>(
        lanes[v], at, slope, i + v * step, valid);
    g[v] = one.g;
    dx[v] = one.dx;
  }
  if (at.dadd != nullptr) put<kVectors, kWhole>(g, d, at.dadd + i, valid, at.stream);
  put<kVectors, kWhole>(dx, d, at.dx + i, valid, at.stream);
}

/// The same with the same numbers for all vectors.
template <std::int64_t kVectors, bool kWhole, Activation kActivation, bool kConstant,
          bool kAnywhere, class T>
HWY_INLINE void propagate_alike(const PropagateLanes& lanes, const GradientAt<T>& at, float slope,
                                std::int64_t i, std::int64_t valid) {
  Each<PropagateLanes, kVectors> same;
  for (PropagateLanes& one : same) one = lanes;
  propagate_vectors<kVectors, kWhole, kActivation, kConstant, kAnywhere>(same, at, slope, i, valid);
}

/// A row of one channel.
template <Activation kActivation, bool kConstant, class T>
HWY_INLINE void propagate_row(const PropagateLanes& lanes, const GradientAt<T>& at, float slope,
                              std::int64_t length, std::int64_t ahead) {
  constexpr std::int64_t kVectors = kPack<T>;
  const auto step = static_cast<std::int64_t>(hn::Lanes(F32()));
  const std::int64_t pack = pack_lanes<T>();
  std::int64_t i = 0;
  for (; i + 2 * pack <= length; i += 2 * pack) {
    fetch_pair<2>(at, i, ahead);
    propagate_alike<kVectors, true, kActivation, kConstant, false>(lanes, at, slope, i, step);
    propagate_alike<kVectors, true, kActivation, kConstant, false>(lanes, at, slope, i + pack,
                                                                   step);
  }
  for (; i + pack <= length; i += pack) {
    propagate_alike<kVectors, true, kActivation, kConstant, false>(lanes, at, slope, i, step);
  }
  if (kVectors > 1 && i + step <= length) {
    propagate_alike<1, true, kActivation, kConstant, false>(lanes, at, slope, i, step);
    i += step;
  }
  if (i < length) {
    propagate_alike<1, false, kActivation, kConstant, false>(lanes, at, slope, i, length - i);
  }
}

/// A row of one channel that may begin anywhere in a line; dadd, where it is wanted, begins at the
/// same place of a line if both bypass the cache.
template <Activation kActivation, bool kConstant, class T>
HWY_INLINE void propagate_row_anywhere(const PropagateLanes& lanes, const GradientAt<T>& at,
                                       float slope, std::int64_t length, std::int64_t ahead) {
  const auto step = static_cast<std::int64_t>(hn::Lanes(F32()));
  const std::int64_t pack = pack_lanes<T>();
  const auto part = [&](std::int64_t i, std::int64_t valid) HWY_ATTR {
    propagate_alike<1, false, kActivation, kConstant, true>(lanes, at, slope, i, valid);
  };
  std::int64_t i = 0;
  for (std::int64_t head = lanes_before_line(at.dx, length); head > 0; head -= step) {
    const std::int64_t valid = std::min(step, head);
    part(i, valid);
    i += valid;
  }
  for (; i + pack <= length; i += pack) {
    fetch_pair<1>(at, i, ahead);
    propagate_alike<kPack<T>, true, kActivation, kConstant, true>(lanes, at, slope, i, step);
  }
  for (; i < length; i += step) part(i, std::min(step, length - i));
}

/// Whether dx and dadd of every row begin at the same place of a line.
inline bool gradients_in_step(const GradientJob& job) {
  if (!job.dadd->has_value()) return true;
  return reinterpret_cast<std::uintptr_t>(job.dx.data) % vector_bytes() ==
         reinterpret_cast<std::uintptr_t>((*job.dadd)->data) % vector_bytes();
}

/// Channels [0, width) of kRows neighbouring rows of many channels; c0 is the first one's number.
template <std::int64_t kRows, Activation kActivation, bool kConstant, class T>
HWY_INLINE void propagate_channels(const GradientJob& job, const GradientAt<T>& at, std::int64_t c0,
                                   std::int64_t width, std::int64_t stride,
                                   std::int64_t mask_stride) {
  const F32 d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  const auto slope = static_cast<float>(job.epilogue.slope);
  const std::int64_t ahead = rows_ahead<T>(width) * stride;
  for_each_pack<T>(width,
                   [&](auto vectors, auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
                     constexpr std::int64_t kVectors = decltype(vectors)::value;
                     constexpr bool kWhole = decltype(whole)::value;
                     if constexpr (kWhole && kRows == kRowQuad) {
                       fetch_quad(at.x + ahead + i, stride);
                       fetch_quad(at.dy + ahead + i, stride);
                     }
                     Each<PropagateLanes, kVectors> lanes;
                     for (std::int64_t v = 0; v < kVectors; ++v) {
                       lanes[v] = propagate_lanes<kWhole>(d, job, c0 + i + v * step, valid);
                     }
                     for (std::int64_t r = 0; r < kRows; ++r) {
                       propagate_vectors<kVectors, kWhole, kActivation, kConstant>(
                           lanes, at.row(r, stride, mask_stride), slope, i, valid);
                     }
                   });
}

struct WideGradient {
  std::int64_t channel;
  float dx, g;
};

template <class T>
inline WideGradient wide_gradient(const GradientJob& job, std::int64_t c, std::int64_t offset,
                                  std::int64_t mask_row, std::int64_t bit) {
  const double x = in_double(static_cast<const T*>(job.x.data)[offset]);
  const float g = masked_gradient<T>(job, offset, mask_row + bit / 8, static_cast<int>(bit % 8));
  return {c, static_cast<float>(exact_input_gradient(x, static_cast<double>(g), job, c)), g};
}

template <class T>
inline void put_wide(const GradientJob& job, const WideGradient& value, std::int64_t offset) {
  if (job.dadd->has_value()) static_cast<T*>((*job.dadd)->data)[offset] = stored<T>(value.g);
  static_cast<T*>(job.dx.data)[offset] = stored<T>(value.dx);
}

/// Whether the outputs of rows that begin at channel c can bypass the cache.
template <class T>
inline bool can_stream_gradients(const GradientJob& job, std::int64_t c, std::int64_t stride) {
  if (!job.passage.stream || !can_stream(static_cast<const T*>(job.dx.data) + c, stride))
    return false;
  return !job.dadd->has_value() || can_stream(static_cast<const T*>((*job.dadd)->data) + c, stride);
}

/// Channel by channel.
template <class T, Activation kActivation, bool kConstant>
void propagate_first(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                     std::int64_t row0, std::int64_t row1) {
  const bool aligned = can_stream_gradients<T>(job, 0, cut.s);
  const bool streams = job.passage.stream && gradients_in_step(job);
  const bool anywhere = cut.joined || (streams && !aligned);
  const std::int64_t ahead = job.passage.ahead != 0 ? job.passage.ahead + cut.s / 2 : 0;
  const auto slope = static_cast<float>(job.epilogue.slope);
  for (std::int64_t r = row0; r < row1; ++r) {
    for (std::int64_t c = c0; c < c1; ++c) {
      const auto k = static_cast<std::size_t>(c);
      if (job.coefficients.wide[k] == 0) {
        const PropagateLanes lanes = propagate_lanes(F32(), job, k);
        const GradientAt<T> at = gradient_at<T>(job, cut, r, c, aligned || streams);
        if (anywhere) {
          propagate_row_anywhere<kActivation, kConstant>(lanes, at, slope, cut.s, ahead);
        } else {
          propagate_row<kActivation, kConstant>(lanes, at, slope, cut.s, ahead);
        }
        continue;
      }
      for (std::int64_t i = 0; i < cut.s; ++i) {
        const std::int64_t offset = cut.offset(r, c) + i;
        put_wide<T>(job, wide_gradient<T>(job, c, offset, cut.mask_row(r, c), cut.mask_bit(c, i)),
                    offset);
      }
    }
  }
}

/// Small maps, all channels of a sample as one run of values.
template <class T, Activation kActivation, bool kConstant>
void propagate_joined(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                      std::int64_t row0, std::int64_t row1) {
  const auto slope = static_cast<float>(job.epilogue.slope);
  const bool stream = can_stream_gradients<T>(job, c0 * cut.s, cut.channels * cut.s);
  const auto numbers = [&](std::int64_t c) HWY_ATTR {
    return propagate_lanes(F32(), job, static_cast<std::size_t>(c));
  };
  const F32 d;
  for (std::int64_t r = row0; r < row1; ++r) {
    const GradientAt<T> at = gradient_at<T>(job, cut, r, c0, stream);
    PackWriter<T> dx(at.dx, stream), dadd(at.dadd, stream);
    for_each_joined_vector(
        numbers, c0, c1, cut.s,
        [&](const PropagateLanes& lanes, auto whole, std::int64_t i, std::int64_t valid) HWY_ATTR {
          constexpr bool kWhole = decltype(whole)::value;
          fetch_ahead(at.x, i, job.passage.ahead);
          fetch_ahead(at.dy, i, job.passage.ahead);
          const PropagatedVector one =
              propagated_vector<kWhole, kActivation, kConstant, false>(lanes, at, slope, i, valid);
          if constexpr (kWhole) {
            if (at.dadd != nullptr) dadd.add(d, one.g, i);
            dx.add(d, one.dx, i);
          } else {
            if (at.dadd != nullptr) dadd.add_part(d, one.g, i, valid);
            dx.add_part(d, one.dx, i, valid);
          }
        });
    dadd.finish(d, (c1 - c0) * cut.s);
    dx.finish(d, (c1 - c0) * cut.s);
  }
}

/// Channels [c0, c1) of rows [row0, row1).
template <class T, Activation kActivation, bool kConstant>
void propagate_rows(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  const bool stream = can_stream_gradients<T>(job, c0, cut.channels);
  const std::int64_t mask_stride = cut.mask_row_bytes();
  const std::int64_t together = 2 * kWideSlab;  // channels whose numbers stay in the cache
  for (std::int64_t begin = c0; begin < c1; begin += together) {
    const std::int64_t width = std::min(together, c1 - begin);
    const auto some = [&](auto rows, std::int64_t r) HWY_ATTR {
      propagate_channels<decltype(rows)::value, kActivation, kConstant>(
          job, gradient_at<T>(job, cut, r, begin, stream), begin, width, cut.channels, mask_stride);
    };
    if (cut.channels * cut.value_bytes < kVeryLongRow) {
      for_each_together<kRowQuad>(row0, row1, some);
    } else {
      for_each_together<2>(row0, row1, some);
    }
  }
}

template <class T, Activation kActivation, bool kConstant>
void propagate_last(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  for_each_wide_row<WideGradient>(
      job.coefficients, c0, c1, row0, row1,
      [&](std::int64_t begin, std::int64_t end, std::int64_t r0, std::int64_t r1) {
        propagate_rows<T, kActivation, kConstant>(job, cut, begin, end, r0, r1);
      },
      [&](std::int64_t r, std::int64_t c) {
        return wide_gradient<T>(job, c, cut.offset(r, c), cut.mask_row(r, 0), c);
      },
      [&](std::int64_t r, const WideGradient& value) {
        put_wide<T>(job, value, cut.offset(r, value.channel));
      });
}

template <class T, Activation kActivation, bool kConstant>
void propagate_with(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t row0, std::int64_t row1) {
  if (cut.last) {
    propagate_last<T, kActivation, kConstant>(job, cut, c0, c1, row0, row1);
  } else if (cut.joined && !any_wide_in(job.coefficients, c0, c1)) {
    propagate_joined<T, kActivation, kConstant>(job, cut, c0, c1, row0, row1);
  } else {
    propagate_first<T, kActivation, kConstant>(job, cut, c0, c1, row0, row1);
  }
}

template <class T, Activation kActivation>
void propagate_as(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                  std::int64_t row0, std::int64_t row1) {
  (job.constant_statistics ? propagate_with<T, kActivation, true>
                           : propagate_with<T, kActivation, false>)(job, cut, c0, c1, row0, row1);
}

template <class T>
inline void propagate(const GradientJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                      std::int64_t row0, std::int64_t row1) {
  switch (job.epilogue.activation) {
    case Activation::none:
      return propagate_as<T, Activation::none>(job, cut, c0, c1, row0, row1);
    case Activation::relu:
      return propagate_as<T, Activation::relu>(job, cut, c0, c1, row0, row1);
    case Activation::leaky_relu:
      return propagate_as<T, Activation::leaky_relu>(job, cut, c0, c1, row0, row1);
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
