// Threads. Work is cut by the shape alone, so that no result depends on how many threads there are.
#pragma once

#include <cstdint>
#include <exception>
#include <type_traits>

namespace evenkeel {

/// The number of threads that parallel_for uses at most. Starts as OMP_NUM_THREADS or the number of
/// processors.
int max_threads();
/// Changes it for the whole process; below 1 throws UsageError.
void set_max_threads(int threads);
/// Whether the calling thread is inside a parallel_for, where further ones run serially.
bool in_parallel();

/// The way through a parallel_for's range.
enum class Order : std::uint8_t {
  forward,
  backward,  ///< what the pass before this one read last may still be in a cache
};

namespace detail {
using RangeFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_parallel(std::int64_t count, std::int64_t cost, Order order, void* context,
                  RangeFunction function);
}  // namespace detail

/// Calls f(i) for every i in [0, count), each exactly once, in any order and on any thread. What
/// f(i) computes must depend on i only, which makes results independent of the number of threads.
/// Passes over the same count find much of what they touch in the cache of the same processor; a
/// second pass that goes backward finds what the first one touched last.
/// `cost` is the rough work of one call, in elements touched: small jobs stay on fewer threads.
/// The first exception thrown is rethrown on the calling thread. Nested calls run serially, and so does
/// a call that finds the threads at work for another one.
template <class F>
void parallel_for(std::int64_t count, std::int64_t cost, F&& f, Order order = Order::forward) {
  using Function = std::remove_reference_t<F>;
  void* const context = const_cast<void*>(static_cast<const void*>(&f));
  if (order == Order::backward) {
    detail::run_parallel(count, cost, order, context,
                         [](void* function, std::int64_t begin, std::int64_t end) {
                           for (std::int64_t i = end; i-- > begin;) {
                             (*static_cast<Function*>(function))(i);
                           }
                         });
    return;
  }
  detail::run_parallel(count, cost, order, context,
                       [](void* function, std::int64_t begin, std::int64_t end) {
                         for (std::int64_t i = begin; i < end; ++i) {
                           (*static_cast<Function*>(function))(i);
                         }
                       });
}

/// Calls f(begin, end) over [0, count) in ranges of `block` elements (the last one shorter), for
/// elementwise loops.
template <class F>
void parallel_ranges(std::int64_t count, std::int64_t block, F&& f) {
  parallel_for((count + block - 1) / block, block, [&](std::int64_t i) {
    const std::int64_t begin = i * block;
    f(begin, begin + block < count ? begin + block : count);
  });
}

}  // namespace evenkeel
