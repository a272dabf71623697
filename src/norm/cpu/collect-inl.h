// Statistics of channels: the sums of their blocks about a centre that a few samples give, in f32
// lanes, added up in double. A block that lies far from its channel's centre is measured from its
// own.
#if defined(EVENKEEL_NORM_CPU_COLLECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_COLLECT_INL_H_
#undef EVENKEEL_NORM_CPU_COLLECT_INL_H_
#else
#define EVENKEEL_NORM_CPU_COLLECT_INL_H_
#endif

#include "norm/cpu/block-inl.h"
#include "norm/cpu/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// The sums of the groups so far: as ShiftedSums, one array for each number.
struct GroupSums {
  double *pivot, *first, *second;

  void add(std::int64_t c, double count_before, double n, const BlockSums& block) const {
    ShiftedSums sums;
    if (count_before > 0) sums = {count_before, pivot[c], first[c], second[c]};
    sums.add(n, block.centre, block.s1, block.s2);
    pivot[c] = sums.pivot;
    first[c] = sums.first;
    second[c] = sums.second;
  }
};

// ---- Centres ----

/// Channels last: of a vector column, from rows all over the tensor.
template <bool kWhole, class T>
HWY_INLINE void sampled_centres(const T* p, const Cut& cut, std::int64_t valid, float* centre) {
  constexpr std::int64_t kSamples = 16;
  const F32 d;
  const std::int64_t count = std::min(kSamples, cut.rows);
  const auto sample = [&](std::int64_t i) HWY_ATTR {
    return load<kWhole>(d, p + i * cut.rows / count * cut.channels, valid);
  };
  const VF share = hn::Set(d, 1.0F / static_cast<float>(count));
  VF sum = hn::Zero(d), spread = hn::Zero(d);
  for (std::int64_t i = 0; i < count; ++i) sum = hn::Add(sum, sample(i));
  const VF mean = hn::Mul(sum, share);
  for (std::int64_t i = 0; i < count; ++i) {
    spread = hn::Add(spread, hn::Abs(hn::Sub(sample(i), mean)));
  }
  store<kWhole>(rounded_centre(d, mean, hn::Mul(spread, share)), d, centre, valid);
}

/// Channels first: of one channel, from a vector at each of a few places.
template <class T>
inline float sampled_centre(const T* x, const Cut& cut, std::int64_t c) {
  const std::int64_t count = std::min(kPlaces, cut.rows);
  const std::int64_t valid = std::min(static_cast<std::int64_t>(hn::Lanes(F32())), cut.s);
  return centre_of_places(count, valid, [&](std::int64_t i) {
    return x + cut.offset(i * cut.rows / count, c) + i * (cut.s - valid) / kPlaces;
  });
}

template <class T>
inline void find_centres(const CollectJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1) {
  if (cut.own_mean) return;
  const T* x = static_cast<const T*>(job.x.data);
  float* centre = job.centre.data();
  if (!cut.last) {
    for (std::int64_t c = c0; c < c1; ++c) centre[c] = sampled_centre(x, cut, c);
    return;
  }
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  std::int64_t c = c0;
  for (; c + lanes <= c1; c += lanes) sampled_centres<true>(x + c, cut, lanes, centre + c);
  if (c < c1) sampled_centres<false>(x + c, cut, c1 - c, centre + c);
}

// ---- Channels last ----

/// Whether all lanes' sums so far have their centre as pivot.
HWY_INLINE bool pivots_are(const float* centre, std::int64_t lanes, const double* pivot) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const auto step = static_cast<std::int64_t>(hn::Lanes(dd));
  for (std::int64_t k = 0; k < lanes; k += step) {
    const auto wide = hn::PromoteTo(dd, hn::LoadU(half, centre + k));
    if (!hn::AllTrue(dd, hn::Eq(wide, hn::LoadU(dd, pivot + k)))) return false;
  }
  return true;
}

/// Whether the centre serves in all lanes, as centre_serves() says.
HWY_INLINE bool centres_serve(float n, const float* s1, const float* s2) {
  const F32 d;
  const VF sum = hn::Load(d, s1);
  const VF squares = hn::Load(d, s2);
  const auto in_range = hn::And(hn::Ge(squares, hn::Set(d, kLeastSquares)),
                                hn::Le(squares, hn::Set(d, kMostSquares)));
  const auto near = hn::Le(hn::Mul(sum, sum), hn::Mul(squares, hn::Set(d, kNear * n)));
  return hn::AllTrue(d, hn::And(in_range, near));
}

/// Centre, Σd and Σd² of each lane of one vector column of `rows` rows, `stride` values apart: two
/// passes, each lane about its own mean.
template <bool kWhole, class T>
HWY_INLINE void column_sums(const T* p, std::int64_t rows, std::int64_t stride, std::int64_t valid,
                            float* mean, float* s1, float* s2) {
  const F32 d;
  const VF zero = hn::Zero(d);
  VF a0 = zero, a1 = zero, a2 = zero, a3 = zero;
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    a0 = hn::Add(a0, load<kWhole>(d, p + r * stride, valid));
    a1 = hn::Add(a1, load<kWhole>(d, p + (r + 1) * stride, valid));
    a2 = hn::Add(a2, load<kWhole>(d, p + (r + 2) * stride, valid));
    a3 = hn::Add(a3, load<kWhole>(d, p + (r + 3) * stride, valid));
  }
  for (; r < rows; ++r) a0 = hn::Add(a0, load<kWhole>(d, p + r * stride, valid));
  const VF average =
      hn::Div(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Set(d, static_cast<float>(rows)));
  const std::int64_t some = std::min<std::int64_t>(4, rows);
  VF spread = zero;
  for (r = 0; r < some; ++r) {
    spread = hn::Add(spread, hn::Abs(hn::Sub(load<kWhole>(d, p + r * stride, valid), average)));
  }
  const VF centre =
      rounded_centre(d, average, hn::Mul(spread, hn::Set(d, 1.0F / static_cast<float>(some))));
  VF b0 = zero, b1 = zero, b2 = zero, b3 = zero;
  a0 = a1 = a2 = a3 = zero;
  for (r = 0; r + 4 <= rows; r += 4) {
    const VF d0 = hn::Sub(load<kWhole>(d, p + r * stride, valid), centre);
    const VF d1 = hn::Sub(load<kWhole>(d, p + (r + 1) * stride, valid), centre);
    const VF d2 = hn::Sub(load<kWhole>(d, p + (r + 2) * stride, valid), centre);
    const VF d3 = hn::Sub(load<kWhole>(d, p + (r + 3) * stride, valid), centre);
    a0 = hn::Add(a0, d0);
    a1 = hn::Add(a1, d1);
    a2 = hn::Add(a2, d2);
    a3 = hn::Add(a3, d3);
    b0 = hn::MulAdd(d0, d0, b0);
    b1 = hn::MulAdd(d1, d1, b1);
    b2 = hn::MulAdd(d2, d2, b2);
    b3 = hn::MulAdd(d3, d3, b3);
  }
  for (; r < rows; ++r) {
    const VF d0 = hn::Sub(load<kWhole>(d, p + r * stride, valid), centre);
    a0 = hn::Add(a0, d0);
    b0 = hn::MulAdd(d0, d0, b0);
  }
  hn::StoreU(centre, d, mean);
  hn::StoreU(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), d, s1);
  hn::StoreU(hn::Add(hn::Add(b0, b1), hn::Add(b2, b3)), d, s2);
}

/// Adds the sums of a vector column lane by lane: about the centre where that serves, else about
/// the lane's own mean, else in double.
template <class T>
inline void add_lanes(const T* x, const Cut& cut, const Block& block, std::int64_t c,
                      std::int64_t valid, const float* centre, double count_before, const float* s1,
                      const float* s2, const GroupSums& sums) {
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / sizeof(float);
  float own_centre[kLanes] = {}, own_s1[kLanes] = {}, own_s2[kLanes] = {};
  const auto n = static_cast<double>(block.count());
  if (!cut.few()) {
    const T* p = x + cut.offset(block, c);
    const bool whole = valid == static_cast<std::int64_t>(hn::Lanes(F32()));
    (whole ? column_sums<true, T> : column_sums<false, T>)(p, block.row1 - block.row0, cut.channels,
                                                           valid, own_centre, own_s1, own_s2);
  }
  for (std::int64_t k = 0; k < valid; ++k) {
    BlockSums part{static_cast<double>(own_centre[k]), static_cast<double>(own_s1[k]),
                   static_cast<double>(own_s2[k])};
    const auto first = static_cast<double>(s1[k]);
    const auto second = static_cast<double>(s2[k]);
    if (!cut.own_mean && centre_serves(n, first, second)) {
      part = {static_cast<double>(centre[k]), first, second};
    }
    if (cut.few() || !squares_in_range(part.s2)) {
      part = sums_in_double(x + cut.offset(block, c + k), cut.patch(block));
    }
    sums.add(c + k, count_before, n, part);
  }
}

/// Adds a block's sums of channels [c, c + width) to those of its group.
template <class T>
inline void add_columns(const T* x, const Cut& cut, const Block& block, std::int64_t c,
                        std::int64_t width, const float* centre, double count_before,
                        const ColumnTotals& totals, const GroupSums& sums) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(F32()));
  const auto n = static_cast<float>(block.count());
  const bool begins = count_before == 0;
  for (std::int64_t j = 0; j < width; j += lanes) {
    const std::int64_t at = c + j;
    const std::int64_t valid = std::min(lanes, width - j);
    if (valid == lanes && !cut.own_mean && !cut.few() &&
        centres_serve(n, totals.s1 + j, totals.s2 + j) &&
        (begins || pivots_are(centre + j, lanes, sums.pivot + at))) {
      if (begins) widen(centre + j, lanes, true, sums.pivot + at);
      widen(totals.s1 + j, lanes, begins, sums.first + at);
      widen(totals.s2 + j, lanes, begins, sums.second + at);
    } else {
      add_lanes(x, cut, block, at, valid, centre + j, count_before, totals.s1 + j, totals.s2 + j,
                sums);
    }
  }
}

template <class T>
inline void collect_last(const CollectJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                         std::int64_t group, const GroupSums& sums) {
  const T* x = static_cast<const T*>(job.x.data);
  ColumnTotals totals;
  if (cut.own_mean) totals.clear(kWideSlab);
  double count = 0;
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    const std::int64_t rows = block.row1 - block.row0;
    for (std::int64_t c = c0; c < c1; c += kWideSlab) {
      const std::int64_t width = std::min(kWideSlab, c1 - c);
      const float* centre = job.centre.data() + c;
      if (!cut.own_mean) {
        total_columns(x + cut.offset(block, c), rows, cut.channels, width, centre, totals);
      }
      add_columns(x, cut, block, c, width, centre, count, totals, sums);
    }
    count += static_cast<double>(block.count());
  }
}

// ---- Channels first ----

template <class T>
inline void collect(const CollectJob& job, const Cut& cut, std::int64_t c0, std::int64_t c1,
                    std::int64_t group, double* pivot, double* first, double* second) {
  const GroupSums sums{pivot, first, second};
  if (cut.last) {
    collect_last<T>(job, cut, c0, c1, group, sums);
    return;
  }
  const T* x = static_cast<const T*>(job.x.data);
  double count = 0;
  for (std::int64_t b = cut.group_begin(group); b < cut.group_end(group); ++b) {
    const Block block = cut.block(b);
    const Patch patch = cut.patch(block);
    for (std::int64_t c = c0; c < c1; ++c) {
      const T* p = x + cut.offset(block, c);
      const bool fetches = job.ahead != 0 && !cut.joined;  // there the second pass fetches all
      const T* next = fetches ? p - block.s0 / 2 + job.ahead : nullptr;
      sums.add(c, count, static_cast<double>(block.count()),
               cut.own_mean ? block_sums<false>(p, patch, cut.few())
                            : sums_about(p, patch, job.centre[static_cast<std::size_t>(c)], next));
    }
    count += static_cast<double>(block.count());
  }
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
