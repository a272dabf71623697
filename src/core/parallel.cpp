#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/thread_pool.h"

namespace evenkeel {
namespace {

/// Waking a thread costs some microseconds: below this many elements it does not pay.
constexpr std::int64_t kElementsPerThread = 16 * 1024;

/// OMP_NUM_THREADS (the first number of its list), or the number of processors.
int initial_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    int threads = 0;
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), threads);
    if (error == std::errc() && threads >= 1) return threads;
  }
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::atomic<int>& thread_limit() {
  static std::atomic<int> limit{initial_threads()};
  return limit;
}

}  // namespace

int max_threads() { return thread_limit().load(std::memory_order_relaxed); }

void set_max_threads(int threads) {
  if (threads < 1) fail<UsageError>("[threads] expected at least 1 thread, got {}", threads);
  thread_limit().store(threads, std::memory_order_relaxed);
}

bool in_parallel() { return detail::inside_parallel(); }

namespace detail {

void run_parallel(std::int64_t count, std::int64_t cost, Order order, void* context,
                  RangeFunction function) {
  if (count <= 0) return;
  const std::int64_t total = count * std::max<std::int64_t>(cost, 1);
  const auto useful = std::min(count, std::max<std::int64_t>(1, total / kElementsPerThread));
  const int threads = static_cast<int>(std::min<std::int64_t>(max_threads(), useful));
  if (threads > 1 && !in_parallel() &&
      ThreadPool::instance().run(count, threads, order, context, function)) {
    return;
  }
  run_serially(count, context, function);
}

}  // namespace detail
}  // namespace evenkeel
