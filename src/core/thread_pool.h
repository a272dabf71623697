// The threads behind parallel_for.
#pragma once

#include <evenkeel/core/parallel.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace evenkeel::detail {

/// A caller and its helpers take chunks of one job, each of them first from a stretch of its own, which
/// is the same one in the next job of as many pieces, forward or backward: what it left in its
/// processor's cache is found there. Then they take what others have left. The caller waits for no helper that has not come to
/// the job: on a machine that also does something else a helper may be asleep or without a
/// processor for milliseconds, and OpenMP's regions, which end when every thread has come by, were
/// measured to make a training step twenty times slower there. Which thread runs a chunk does not
/// show in any result (see parallel_for).
///
/// Never destroyed: helpers wait for work until the process ends.
class ThreadPool {
 public:
  static ThreadPool& instance();

  /// Runs f over [0, count) with up to `threads` threads, the caller among them. Returns false, having
  /// done nothing, where another thread is using the pool.
  bool run(std::int64_t count, int threads, Order order, void* context, RangeFunction function);

 private:
  static constexpr std::size_t kMaxStretches = 64;
  /// Part of a job, on a cache line of its own.
  struct alignas(64) Stretch {
    std::int64_t begin, end;
    std::atomic<std::int64_t> taken;
  };
  struct Job {
    Job(std::int64_t count, std::size_t threads, Order way, void* with, RangeFunction call);
    void stop();

    std::size_t stretches;
    std::int64_t chunk;
    Order order;
    void* context;
    RangeFunction function;
    std::atomic<bool> failed{false};
    std::exception_ptr error;
    std::array<Stretch, kMaxStretches> stretch;  // only the first `stretches` are set
  };
  /// A helper sleeps on its own number of calls; a change is the call to work.
  struct Helper {
    std::size_t number;  // the caller is 0
    std::atomic<std::uint32_t> calls{0};
  };

  ThreadPool() = default;
  void add_helpers(std::size_t wanted);
  void help(Helper& self);
  static void work(Job& job, std::size_t number);

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
