// How passes over tensors treat the caches. No result depends on anything here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include <evenkeel/core/parallel.h>
#include <evenkeel/norm/views.h>

namespace evenkeel::norm {

/// How a pass treats memory.
struct Passage {
  /// The output is not wanted in the cache.
  bool stream = false;
  /// How far ahead, in values, the next unit of work begins: the first pass over a unit fetches the
  /// first half of the next one's inputs, the second pass the other half. 0: nothing is fetched.
  std::int64_t ahead = 0;
};

/// Bytes of the second-level cache of a processor; 1 MiB where the system does not say.
std::int64_t second_level_cache();

/// Whether a pass over `inputs` bypasses the cache with `out`, of `bytes` like each of them: together
/// they do not fit the second-level caches of the threads, so that the output leaves these before
/// anybody reads it, and it need not first be read; and none of its lines was read as an input.
bool streams(std::int64_t bytes, const void* out, std::initializer_list<const void*> inputs);

/// Waits until the outputs that bypassed the cache can be seen by other threads.
void flush_streams();

/// parallel_for() for passes that may bypass the cache: each thread flushes once in a while, which
/// is too slow for every unit of work.
template <class F>
void parallel_passes(std::int64_t count, std::int64_t cost, bool stream, F&& f,
                     Order order = Order::forward) {
  constexpr std::int64_t kValuesBetween = 64 * 1024;
  const std::int64_t batch =
      stream ? std::max<std::int64_t>(1, kValuesBetween / std::max<std::int64_t>(cost, 1)) : 1;
  parallel_for(
      (count + batch - 1) / batch, cost * batch,
      [&](std::int64_t i) {
        const std::int64_t end = std::min(count, (i + 1) * batch);
        for (std::int64_t k = i * batch; k < end; ++k) f(k);
        if (stream) flush_streams();
      },
      order);
}

}  // namespace evenkeel::norm
