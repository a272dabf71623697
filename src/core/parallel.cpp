#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <omp.h>

#include <algorithm>
#include <atomic>

namespace evenkeel {
namespace {

/// Waking a thread costs some microseconds: below this many elements it does not pay.
constexpr std::int64_t kElementsPerThread = 16 * 1024;

}  // namespace

int max_threads() { return omp_get_max_threads(); }

void set_max_threads(int threads) {
  if (threads < 1) fail<UsageError>("[threads] expected at least 1 thread, got {}", threads);
  omp_set_num_threads(threads);
}

namespace detail {

void run_parallel(std::int64_t count, std::int64_t cost, void* context, RangeFunction function) {
  if (count <= 0) return;
  const std::int64_t total = count * std::max<std::int64_t>(cost, 1);
  const auto useful = std::min(count, std::max<std::int64_t>(1, total / kElementsPerThread));
  const int threads = static_cast<int>(std::min<std::int64_t>(omp_get_max_threads(), useful));
  if (threads == 1 || omp_in_parallel() != 0) {
    function(context, 0, count);
    return;
  }
  std::exception_ptr error;
  std::atomic<bool> failed{false};
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t team = omp_get_num_threads();
    const std::int64_t rank = omp_get_thread_num();
    const std::int64_t begin = count * rank / team;
    const std::int64_t end = count * (rank + 1) / team;
    try {
      function(context, begin, end);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace evenkeel
