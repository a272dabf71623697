// Sums over blocks of values: first the block's mean, then the sums of the differences and their
// squares, in f32 lanes with short chains.
#if defined(EVENKEEL_NORM_CPU_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVENKEEL_NORM_CPU_BLOCK_INL_H_
#undef EVENKEEL_NORM_CPU_BLOCK_INL_H_
#else
#define EVENKEEL_NORM_CPU_BLOCK_INL_H_
#endif

#include <algorithm>

#include <hwy/cache_control.h>

#include "norm/cpu/vec-inl.h"
#include "norm/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace evenkeel::norm::HWY_NAMESPACE {

/// The squares of f32 differences keep their digits while their sum stays in this range; outside it
/// (or NaN) the block is done again in double.
constexpr float kLeastSquares = 1e-25F;
constexpr float kMostSquares = 1e36F;
HWY_INLINE bool squares_in_range(double m2) {
  return m2 >= static_cast<double>(kLeastSquares) && m2 <= static_cast<double>(kMostSquares);
}

/// Sums about a centre that was chosen without the block serve where at least a quarter of the
/// squares is the block's own spread: Σd² − (Σd)²/n ≥ Σd²/4. What rounding does to them is then at
/// most four times what it does to sums about the block's mean.
constexpr float kNear = 0.75F;
HWY_INLINE bool centre_serves(double n, double s1, double s2) {
  return squares_in_range(s2) && s1 * s1 <= static_cast<double>(kNear) * n * s2;
}

/// All values of the block are the same: exact without sums, and common (padding, dead channels).
template <class T>
inline bool is_constant(const T* x, const Patch& patch) {
  const float first = widened(*x);
  bool same = true;
  for (std::int64_t row = 0; row < patch.rows && same; ++row) {
    const T* p = x + row * patch.pitch;
    for (std::int64_t i = 0; i < patch.length; ++i) same = same && widened(p[i]) == first;
  }
  return same;
}

/// Sums of a block about `centre`.
struct BlockSums {
  double centre, s1, s2;
};

template <class T>
inline BlockSums sums_in_double(const T* x, const Patch& patch) {
  if (is_constant(x, patch)) return {in_double(*x), 0, 0};
  const MeanAndM2 exact = exact_moments(x, patch);
  return {exact.mean, 0, exact.m2};
}

/// f(0), f(1), f(2) for the whole vectors from i on, fewer than four, i at each; the numbers are
/// compile-time constants, which keeps accumulators in registers.
template <class F>
HWY_INLINE void for_at_most_three(std::int64_t lanes, std::int64_t end, std::int64_t& i, F&& f) {
  if (i + lanes > end) return;
  f(std::integral_constant<std::size_t, 0>());
  i += lanes;
  if (i + lanes > end) return;
  f(std::integral_constant<std::size_t, 1>());
  i += lanes;
  if (i + lanes > end) return;
  f(std::integral_constant<std::size_t, 2>());
  i += lanes;
}

/// Applies f(accumulator index, vector, valid lanes) to every vector of a patch's runs; four
/// accumulators in turn keep the chains short. With kTurn runs that are shorter than that take
/// turns as well: beside an outlier a long chain loses digits.
template <bool kTurn, class T, class F>
HWY_INLINE void for_each_vector(const T* x, const Patch& patch, F&& f) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t length = patch.length;
  for (std::int64_t row = 0; row < patch.rows; ++row) {
    const T* p = x + row * patch.pitch;
    std::int64_t i = 0;
    for (; i + 4 * lanes <= length; i += 4 * lanes) {
      f(0, load_whole(d, p + i), lanes);
      f(1, load_whole(d, p + i + lanes), lanes);
      f(2, load_whole(d, p + i + 2 * lanes), lanes);
      f(3, load_whole(d, p + i + 3 * lanes), lanes);
    }
    if constexpr (kTurn) {
      const std::int64_t left = (length - i) / lanes;  // at most three
      if (left > 0) f(0, load_whole(d, p + i), lanes);
      if (left > 1) f(1, load_whole(d, p + i + lanes), lanes);
      if (left > 2) f(2, load_whole(d, p + i + 2 * lanes), lanes);
      i += left * lanes;
      if (i < length) f(3, load_part(d, p + i, length - i), length - i);
    } else {
      for (; i + lanes <= length; i += lanes) f(0, load_whole(d, p + i), lanes);
      if (i < length) f(1, load_part(d, p + i, length - i), length - i);
    }
  }
}

/// The mean rounded to a coarse grid, a fraction of the spread that a few values show: close enough
/// to centre by, with so few digits that differences of values with few digits stay exact.
HWY_INLINE VF rounded_centre(F32 d, VF mean, VF spread) {
  const hn::RebindToUnsigned<F32> du;
  const VF power = hn::And(spread, hn::BitCast(d, hn::Set(du, 0x7f800000u)));
  const VF grid = hn::Mul(power, hn::Set(d, 0.25F));
  const VF steps = hn::Div(mean, grid);
  const auto useful = hn::Lt(hn::Abs(steps), hn::Set(d, 4194304.0F));  // false for NaN and infinity
  return hn::IfThenElse(useful, hn::Mul(hn::Round(steps), grid), mean);
}

/// Places whose values a centre is made of.
constexpr std::int64_t kPlaces = 4;

/// A centre from `valid` values at each of `count` places, at most kPlaces: place(i) is where they
/// begin.
template <class F>
inline float centre_of_places(std::int64_t count, std::int64_t valid, F&& place) {
  const F32 d;
  const auto first = hn::FirstN(d, static_cast<std::size_t>(valid));
  VF values[kPlaces];
  VF sum = hn::Zero(d), spread = hn::Zero(d);
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = load_part(d, place(i), valid);
    sum = hn::Add(sum, values[i]);
  }
  const VF share = hn::Set(d, 1.0F / static_cast<float>(count * valid));
  const VF mean = hn::Mul(hn::SumOfLanes(d, sum), share);
  for (std::int64_t i = 0; i < count; ++i) {
    spread = hn::Add(spread, hn::IfThenElseZero(first, hn::Abs(hn::Sub(values[i], mean))));
  }
  return hn::GetLane(rounded_centre(d, mean, hn::Mul(hn::SumOfLanes(d, spread), share)));
}

/// Sums about the block's own mean, in two passes; of few values, in double. Fetches half of what
/// lies at `next`, as long as the patch, unless that is null.
template <bool kTurn, class T>
BlockSums block_sums(const T* x, const Patch& patch, bool few, const T* next = nullptr) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto count = static_cast<double>(patch.count());
  const VF zero = hn::Zero(d);
  VF sum[4] = {zero, zero, zero, zero};
  const auto fetch_quarter = [&](int a) HWY_ATTR {
    if (a != 0 || next == nullptr) return;
    hwy::Prefetch(next);
    next += lanes;  // for the four vectors of four accumulators
  };
  for_each_vector<kTurn>(x, patch, [&](int a, VF v, std::int64_t /*valid*/) HWY_ATTR {
    fetch_quarter(a);
    sum[a] = hn::Add(sum[a], v);
  });
  const VF total = hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
  // The spread of the first values of the block.
  const std::int64_t some = std::min(lanes, patch.length);
  const VF mean = hn::Set(d, static_cast<float>(sum_of(d, total) / count));
  VF deviation = hn::Abs(hn::Sub(load_part(d, x, some), mean));
  deviation = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(some)), deviation);
  const VF spread =
      hn::Mul(hn::SumOfLanes(d, deviation), hn::Set(d, 1.0F / static_cast<float>(some)));
  const VF centre = rounded_centre(d, mean, spread);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  for_each_vector<kTurn>(x, patch, [&](int a, VF v, std::int64_t valid) HWY_ATTR {
    fetch_quarter(a);
    VF difference = hn::Sub(v, centre);
    if (valid < lanes) {
      difference = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(valid)), difference);
    }
    s1[a] = hn::Add(s1[a], difference);
    s2[a] = hn::MulAdd(difference, difference, s2[a]);
  });
  const double rest = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  const double squares = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
  if (few || !squares_in_range(squares)) return sums_in_double(x, patch);
  return {static_cast<double>(hn::GetLane(centre)), rest, squares};
}

/// Sums about a given centre, in one pass, where it serves. Fetches half of what lies at `next` in
/// the form of the patch, unless that is null.
template <class T>
inline BlockSums sums_about(const T* x, const Patch& patch, float about, const T* next) {
  const F32 d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const VF centre = hn::Set(d, about);
  const VF zero = hn::Zero(d);
  VF s1[4] = {zero, zero, zero, zero};
  VF s2[4] = {zero, zero, zero, zero};
  const auto step = [&](std::size_t a, VF v) HWY_ATTR {
    const VF difference = hn::Sub(v, centre);
    s1[a] = hn::Add(s1[a], difference);
    s2[a] = hn::MulAdd(difference, difference, s2[a]);
  };
  for (std::int64_t row = 0; row < patch.rows; ++row) {
    const T* p = x + row * patch.pitch;
    std::int64_t i = 0;
    for (; i + 4 * lanes <= patch.length; i += 4 * lanes) {
      if (next != nullptr) {
        const T* ahead = next + row * patch.pitch + i / 2;
        hwy::Prefetch(ahead);
        if constexpr (kPack<T> == 1) hwy::Prefetch(ahead + lanes);
      } else {
        fetch_further(p + i);
        fetch_further(p + i + 2 * lanes);
      }
      step(0, load_whole(d, p + i));
      step(1, load_whole(d, p + i + lanes));
      step(2, load_whole(d, p + i + 2 * lanes));
      step(3, load_whole(d, p + i + 3 * lanes));
    }
    if (next != nullptr && i < patch.length) hwy::Prefetch(next + row * patch.pitch + i / 2);
    for_at_most_three(lanes, patch.length, i,
                      [&](auto a) HWY_ATTR { step(a(), load_whole(d, p + i)); });
    if (i < patch.length) {
      const std::int64_t valid = patch.length - i;
      const VF difference = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(valid)),
                                               hn::Sub(load_part(d, p + i, valid), centre));
      s1[3] = hn::Add(s1[3], difference);
      s2[3] = hn::MulAdd(difference, difference, s2[3]);
    }
  }
  const double rest = sum_of(d, hn::Add(hn::Add(s1[0], s1[1]), hn::Add(s1[2], s1[3])));
  const double squares = sum_of(d, hn::Add(hn::Add(s2[0], s2[1]), hn::Add(s2[2], s2[3])));
  if (!centre_serves(static_cast<double>(patch.count()), rest, squares)) {
    return block_sums<false>(x, patch, false);
  }
  return {static_cast<double>(about), rest, squares};
}

}  // namespace evenkeel::norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard
