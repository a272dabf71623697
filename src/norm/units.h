// Units of work of batch norm and the way through memory: slabs of channels from the first pass to
// the second, or all of one pass before the next. No result depends on it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "norm/cut.h"
#include "norm/passage.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::norm {

/// Elements of a slab.
inline std::int64_t slab_cost(const Cut& cut) { return cut.rows * cut.s * cut.slab_end(0); }

/// Whether whole slabs of channels, one after another, take both passes: channels first, with
/// enough of them to keep every thread busy. Channels last a slab's rows lie far apart, and whole
/// rows are faster even where a slab would stay in the cache.
inline bool slab_by_slab(const Cut& cut) { return !cut.last && cut.slabs() >= max_threads(); }

/// What is fetched while a slab is worked on: the next one, where it fits the cache beside this one
/// and the tensors do not fit as a whole.
inline std::int64_t slab_ahead(const Cut& cut, std::int64_t tensors) {
  const std::int64_t bytes = slab_cost(cut) * tensors * cut.value_bytes;
  const bool pays = bytes * cut.slabs() > second_level_cache() && 2 * bytes <= second_level_cache();
  return pays ? cut.slab * cut.s : 0;
}

/// f(c0, c1) over all slabs.
template <class F>
void for_each_slab(const Cut& cut, bool stream, F&& f) {
  parallel_passes(cut.slabs(), slab_cost(cut), stream,
                  [&](std::int64_t i) { f(cut.slab_begin(i), cut.slab_end(i)); });
}

/// f(c0, c1, group) over everything: channels last in the order of memory, else slab after slab.
template <class F>
void for_each_group(const Cut& cut, F&& f) {
  if (cut.last) {
    const std::int64_t cost = cut.rows * cut.channels / std::max<std::int64_t>(cut.groups, 1);
    parallel_for(cut.groups, cost, [&](std::int64_t group) { f(0, cut.channels, group); });
    return;
  }
  parallel_for(cut.slabs() * cut.groups, slab_cost(cut) / std::max<std::int64_t>(cut.groups, 1),
               [&](std::int64_t i) {
                 const std::int64_t slab = i / cut.groups;
                 f(cut.slab_begin(slab), cut.slab_end(slab), i % cut.groups);
               });
}

/// f(c0, c1, row0, row1) over everything in the order of memory. Results are elementwise, so
/// neither the cut nor the order shows in them.
template <class F>
void for_each_row_range(const Cut& cut, Order order, bool stream, F&& f) {
  constexpr std::int64_t kRangeValues = 16 * 1024;
  const std::int64_t slabs = cut.last ? 1 : cut.slabs();
  const std::int64_t units = slabs * cut.rows;
  const std::int64_t cost = cut.last ? cut.channels : cut.slab * cut.s;
  const std::int64_t wanted =
      std::max<std::int64_t>(4, kRangeValues / std::max<std::int64_t>(cost, 1));
  const std::int64_t ranges = (units + wanted - 1) / wanted;
  parallel_passes(
      ranges, cost * wanted, stream,
      [&](std::int64_t i) {
        const std::int64_t begin = i * wanted;
        const std::int64_t end = std::min(units, begin + wanted);
        if (cut.last) {
          f(0, cut.channels, begin, end);
          return;
        }
        for (std::int64_t unit = begin; unit < end; ++unit) {
          const std::int64_t slab = unit % slabs;
          f(cut.slab_begin(slab), cut.slab_end(slab), unit / slabs, unit / slabs + 1);
        }
      },
      order);
}

}  // namespace evenkeel::norm
