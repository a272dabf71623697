// Threads and modes for a test, put back at its end.
#pragma once

#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/parallel.h>

namespace evenkeel::testing {

class ThreadSetting {
 public:
  explicit ThreadSetting(int threads, bool deterministic_mode = false)
      : threads_(max_threads()), deterministic_(deterministic()) {
    set_max_threads(threads);
    set_deterministic(deterministic_mode);
  }
  ~ThreadSetting() {
    set_max_threads(threads_);
    set_deterministic(deterministic_);
  }
  ThreadSetting(const ThreadSetting&) = delete;
  ThreadSetting& operator=(const ThreadSetting&) = delete;

 private:
  int threads_;
  bool deterministic_;
};

}  // namespace evenkeel::testing
