// What every use of oneDNN in this room shares: the engine, streams, threads, errors.
#pragma once

#include <string_view>

#include <dnnl.hpp>
#include <omp.h>

#include <evenkeel/core/error.h>

namespace evenkeel::ops::onednn {

/// The process's CPU engine.
const dnnl::engine& engine();
/// The calling thread's stream.
const dnnl::stream& stream();

/// While alive, oneDNN uses this many threads for what the calling thread creates and runs. Touches
/// the calling thread's OpenMP setting only.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
  }
  ~ThreadScope() {
    if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
  }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// Calls f and turns oneDNN's exceptions into ours, naming the operator.
template <class F>
decltype(auto) translate_errors(std::string_view op, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    fail<Error>("[{}] oneDNN could not run it: {} (status {})", op, error.what(),
                static_cast<int>(error.status));
  }
}

inline dnnl::memory memory_at(const dnnl::memory::desc& desc, const void* data) {
  return {desc, engine(), const_cast<void*>(data)};
}

}  // namespace evenkeel::ops::onednn
