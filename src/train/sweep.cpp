#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/train/sweep.h>

namespace evenkeel::train {
namespace {

/// Gives the process another number of threads for a while.
class ThreadShare {
 public:
  explicit ThreadShare(int jobs) : before_(max_threads()) {
    set_max_threads(std::max(1, before_ / jobs));
  }
  ~ThreadShare() { set_max_threads(before_); }
  ThreadShare(const ThreadShare&) = delete;
  ThreadShare& operator=(const ThreadShare&) = delete;

 private:
  int before_;
};

}  // namespace

Grid& Grid::axis(std::string name, std::vector<double> values) {
  if (values.empty()) fail<UsageError>("[sweep] axis '{}' has no values to try", name);
  for (const auto& [other, ignored] : axes_) {
    if (other == name) fail<UsageError>("[sweep] axis '{}' is given twice", name);
  }
  axes_.emplace_back(std::move(name), std::move(values));
  return *this;
}

std::int64_t Grid::size() const {
  std::int64_t count = 1;
  for (const auto& [name, values] : axes_) count *= static_cast<std::int64_t>(values.size());
  return count;
}

std::vector<std::pair<std::string, double>> Grid::at(std::int64_t i) const {
  if (i < 0 || i >= size()) {
    fail<UsageError>("[sweep] point {} of a grid of {}; they count from 0", i, size());
  }
  std::vector<std::pair<std::string, double>> point;
  auto rest = static_cast<std::size_t>(i);
  for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
    point.emplace_back(axis->first, axis->second[rest % axis->second.size()]);
    rest /= axis->second.size();
  }
  std::ranges::reverse(point);
  return point;
}

void sweep(std::int64_t count, int jobs, const std::function<void(std::int64_t)>& run) {
  if (jobs < 1) fail<UsageError>("[sweep] expected at least 1 job, got {}", jobs);
  const auto workers = static_cast<int>(std::min<std::int64_t>(jobs, count));
  if (workers <= 1) {
    for (std::int64_t i = 0; i < count; ++i) run(i);
    return;
  }
  const ThreadShare share(workers);
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    for (std::int64_t i = next++; i < count; i = next++) {
      try {
        run(i);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!error) error = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < workers; ++i) threads.emplace_back(work);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace evenkeel::train
