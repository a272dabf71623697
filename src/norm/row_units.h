// Units of work of the row geometry: rows, or slabs of rows, from the first pass to the second.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "norm/passage.h"
#include "norm/row_implementation.h"
#include "norm/row_workspace.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::norm {

/// Whether there are enough units to keep every thread busy with whole ones, which then stay in its
/// cache from the first pass to the second. The results do not depend on it.
inline bool unit_by_unit(std::int64_t units, std::int64_t cuts) {
  return cuts == 1 || units >= max_threads();
}

/// Elements of a unit, as the cost of working on it.
inline std::int64_t unit_cost(const RowCut& cut) { return cut.slab_groups * cut.length(); }

/// Whether all threads work on one unit after another, of which each of them keeps a part in its
/// cache from the first pass to the second: units that are too large for one cache but not for all
/// of them, and large enough that the threads need not meet too often. `tensors` are read in step.
inline bool shares_units(const RowCut& cut, std::int64_t tensors) {
  constexpr std::int64_t kLeastShare = std::int64_t{256} << 10;
  const std::int64_t threads = max_threads();
  const std::int64_t bytes = unit_cost(cut) * tensors * cut.value_bytes;
  const std::int64_t share = bytes / threads;
  return threads > 1 && std::min(cut.parts, cut.slices) >= 2 * threads &&
         bytes > second_level_cache() * 3 / 4 && share <= 2 * second_level_cache() &&
         share >= kLeastShare;
}

/// Whether `out` bypasses the cache.
inline bool row_output_streams(const ConstRowView& out, std::initializer_list<const void*> inputs) {
  return streams(out.numel() * static_cast<std::int64_t>(size_of(out.dtype)), out.data, inputs);
}

/// How far ahead the next `units` contiguous rows begin, where they fit the second-level cache
/// beside these and the tensors do not as a whole; `tensors` are read in step.
inline std::int64_t row_ahead(const RowCut& cut, std::int64_t units, std::int64_t tensors) {
  if (cut.kind == RowKind::channel_last) return 0;
  const std::int64_t bytes = units * cut.length() * tensors * cut.value_bytes;
  const bool pays =
      2 * bytes <= second_level_cache() && bytes / units * cut.units() > second_level_cache();
  return pays ? units * cut.length() : 0;
}

/// f(slice) for all slices of a unit, last one first: what the pass before it touched last is still
/// in the cache.
template <class F>
void for_each_slice(const RowCut& cut, F&& f) {
  for (std::int64_t slice = cut.slices; slice-- > 0;) f(slice);
}

/// γ and β in f32, where the kernels can read them.
struct AffineNumbers {
  const float *gamma, *beta;

  AffineNumbers(const Affine& affine, const RowScratch& scratch)
      : gamma(in_f32(affine.gamma, scratch.gamma)), beta(in_f32(affine.beta, scratch.beta)) {}

 private:
  static const float* in_f32(const ConstVectorView& values, std::span<float> room) {
    if (values.empty() || values.f32() != nullptr) return values.f32();
    for (std::size_t i = 0; i < room.size(); ++i) {
      room[i] = static_cast<float>(values[static_cast<std::int64_t>(i)]);
    }
    return room.data();
  }
};

}  // namespace evenkeel::norm
