// The threads behind parallel_for.
#pragma once

#include <evenkeel/core/parallel.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace evenkeel::detail {

/// A caller and its helpers take chunks of one job from a shared counter. The caller waits for no helper
/// that has not come to the job: on a machine that also does something else a helper may be
/// asleep or without a processor for milliseconds, and OpenMP's regions, which end when every thread
/// has come by, were measured to make a training step twenty times slower there. Which thread runs a
/// chunk does not show in any result (see parallel_for).
///
/// Never destroyed: helpers wait for work until the process ends.
class ThreadPool {
 public:
  static ThreadPool& instance();

  /// Runs f over [0, count) with up to `threads` threads, the caller among them. Returns false, having
  /// done nothing, where another thread is using the pool.
  bool run(std::int64_t count, int threads, void* context, RangeFunction function);

 private:
  struct Job {
    std::int64_t count, chunk;
    void* context;
    RangeFunction function;
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;
  };
  /// A helper sleeps on its own number; a change is the call to work.
  struct Helper {
    std::atomic<std::uint32_t> calls{0};
  };

  ThreadPool() = default;
  void add_helpers(std::size_t wanted);
  void help(Helper& self);
  static void work(Job& job);

  std::mutex busy_;
  std::vector<std::unique_ptr<Helper>> helpers_;
  std::atomic<Job*> job_{nullptr};
  std::atomic<int> inside_{0};  // helpers that may be looking at job_
};

/// Whether the calling thread is inside a parallel_for.
bool& inside_parallel();

/// The same surroundings as in the pool, without it.
void run_serially(std::int64_t count, void* context, RangeFunction function);

}  // namespace evenkeel::detail
