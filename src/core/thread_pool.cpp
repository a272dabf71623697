#include "core/thread_pool.h"

#include <omp.h>
#include <signal.h>

#include <algorithm>
#include <chrono>

namespace evenkeel::detail {
namespace {

/// Chunks per thread: enough that a thread that loses its processor leaves work for the others.
constexpr std::int64_t kChunksPerThread = 8;
/// A helper looks for new work this long before it sleeps; the steps of a network follow each other
/// within this time.
constexpr auto kAwake = std::chrono::microseconds(100);

/// While alive, the calling thread is inside a parallel_for, and libraries that use OpenMP run on it
/// alone.
class InsideParallel {
 public:
  InsideParallel() : before_(inside_parallel()), threads_(omp_get_max_threads()) {
    inside_parallel() = true;
    if (threads_ != 1) omp_set_num_threads(1);
  }
  ~InsideParallel() {
    inside_parallel() = before_;
    if (threads_ != 1) omp_set_num_threads(threads_);
  }
  InsideParallel(const InsideParallel&) = delete;
  InsideParallel& operator=(const InsideParallel&) = delete;

 private:
  bool before_;
  int threads_;
};

/// While alive, threads that are started inherit a mask that blocks all signals: handlers run on the
/// program's own threads, and never on a helper whose stack a library has put elsewhere.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

/// Waits until the value is no longer `seen`: awake at first, then asleep.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t seen) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0;; ++i) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != seen) return now;
    if (i % 16 == 15) {
      if (std::chrono::steady_clock::now() - begin > kAwake) break;
      std::this_thread::yield();  // to whoever has something to do
    }
  }
  value.wait(seen, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

bool& inside_parallel() {
  thread_local bool inside = false;
  return inside;
}

void run_serially(std::int64_t count, void* context, RangeFunction function) {
  const InsideParallel inside;
  function(context, 0, count);
}

ThreadPool& ThreadPool::instance() {
  static ThreadPool* const pool = new ThreadPool;
  return *pool;
}

ThreadPool::Job::Job(std::int64_t count, std::size_t threads, Order way, void* with,
                     RangeFunction call)
    : stretches(std::min(threads, kMaxStretches)),
      chunk(std::max<std::int64_t>(
          1, count / (static_cast<std::int64_t>(threads) * kChunksPerThread))),
      order(way),
      context(with),
      function(call) {
  const auto parts = static_cast<std::int64_t>(stretches);
  for (std::int64_t i = 0; i < parts; ++i) {
    Stretch& own = stretch[static_cast<std::size_t>(i)];
    own.taken.store(0, std::memory_order_relaxed);
    own.begin = count / parts * i + std::min(i, count % parts);
    own.end = count / parts * (i + 1) + std::min(i + 1, count % parts);
  }
}

void ThreadPool::Job::stop() {
  for (std::size_t i = 0; i < stretches; ++i) stretch[i].taken.store(stretch[i].end - stretch[i].begin);
}

bool ThreadPool::run(std::int64_t count, int threads, Order order, void* context,
                     RangeFunction function) {
  const std::unique_lock lock(busy_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  const auto wanted = static_cast<std::size_t>(threads - 1);
  add_helpers(wanted);
  Job job(count, wanted + 1, order, context, function);
  job_.store(&job);
  const std::size_t called = std::min(wanted, helpers_.size());
  for (std::size_t i = 0; i < called; ++i) {
    helpers_[i]->calls.fetch_add(1, std::memory_order_release);
    helpers_[i]->calls.notify_one();
  }
  {
    const InsideParallel inside;
    work(job, 0);
  }
  // From here on nobody new sees the job; those who do are at their last chunk.
  job_.store(nullptr);
  while (inside_.load() != 0) std::this_thread::yield();
  if (job.error) std::rethrow_exception(job.error);
  return true;
}

void ThreadPool::add_helpers(std::size_t wanted) {
  if (helpers_.size() >= wanted) return;
  const SignalsBlocked blocked;
  while (helpers_.size() < wanted) {
    const std::size_t before = helpers_.size();
    try {
      helpers_.push_back(std::make_unique<Helper>());
      helpers_.back()->number = helpers_.size();
      Helper& self = *helpers_.back();
      std::thread([this, &self] { help(self); }).detach();
    } catch (const std::exception&) {  // no more threads or memory to be had: fewer do the work
      helpers_.resize(before);
      return;
    }
  }
}

void ThreadPool::help(Helper& self) {
  omp_set_num_threads(1);  // of this thread
  inside_parallel() = true;
  std::uint32_t seen = 0;
  for (;;) {
    seen = wait_for_change(self.calls, seen);
    inside_.fetch_add(1);
    if (Job* job = job_.load()) work(*job, self.number);
    inside_.fetch_sub(1);
  }
}

void ThreadPool::work(Job& job, std::size_t number) {
  for (std::size_t i = 0; i < job.stretches; ++i) {
    Stretch& stretch = job.stretch[(number + i) % job.stretches];
    for (;;) {
      const std::int64_t size = stretch.end - stretch.begin;
      const std::int64_t from = stretch.taken.fetch_add(job.chunk);
      if (from >= size) break;
      const std::int64_t to = std::min(size, from + job.chunk);
      try {
        if (job.order == Order::forward) {
          job.function(job.context, stretch.begin + from, stretch.begin + to);
        } else {
          job.function(job.context, stretch.end - to, stretch.end - from);
        }
      } catch (...) {
        if (!job.failed.exchange(true)) job.error = std::current_exception();
        job.stop();
        return;
      }
    }
  }
}

}  // namespace evenkeel::detail
