#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "data/batch_maker.h"
#include <evenkeel/data/loader.h>

namespace evenkeel::data {
namespace {

constexpr std::size_t kQueueDepth = 2;

std::int64_t count_batches(std::int64_t samples, const LoaderOptions& options) {
  const std::int64_t full = samples / options.batch_size;
  const std::int64_t rest = samples % options.batch_size;
  switch (options.last) {
    case LastBatch::keep:
      return full + (rest > 1 ? 1 : 0);
    case LastBatch::drop:
      return full;
    case LastBatch::keep_all:
      break;
  }
  return full + (rest > 0 ? 1 : 0);
}

/// Batches on their way from the thread that makes them to the one that uses them.
class Queue {
 public:
  /// Waits for room; false once `stop` is requested.
  bool push(Batch batch, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [&] { return ready_.size() < kQueueDepth; })) return false;
    ready_.push_back(std::move(batch));
    changed_.notify_all();
    return true;
  }
  /// No more batches; `error` is what next() throws after those already here, or null.
  void close(std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }
  /// Waits for a batch; empty after the last one.
  std::optional<Batch> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !ready_.empty(); });
    if (ready_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    Batch batch = std::move(ready_.front());
    ready_.pop_front();
    changed_.notify_all();
    return batch;
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  bool closed_ = false;
  std::exception_ptr error_;
};

}  // namespace

struct Loader::Impl {
  Impl(const Dataset& dataset, LoaderOptions wanted)
      : options(std::move(wanted)),
        maker(dataset, options),
        batches(count_batches(dataset.size(), options)),
        order(static_cast<std::size_t>(dataset.size())) {}

  LoaderOptions options;
  BatchMaker maker;
  std::int64_t batches;
  std::vector<std::int64_t> order;
  std::int64_t epoch = 0;
  std::int64_t position = 0;
  bool started = false;
  std::unique_ptr<Queue> queue;
  std::jthread producer;  // last: it is stopped and joined before what it uses goes away

  void stop() {
    producer = std::jthread();
    queue.reset();
    started = false;
  }
  Batch make(std::int64_t batch) const {
    const auto begin = static_cast<std::size_t>(batch * options.batch_size);
    const auto count = std::min(static_cast<std::size_t>(options.batch_size), order.size() - begin);
    return maker.make(std::span(order).subspan(begin, count), epoch);
  }
  void produce(const std::stop_token& stop) {
    try {
      for (std::int64_t batch = position; batch < batches; ++batch) {
        if (!queue->push(make(batch), stop)) return;
      }
      queue->close(nullptr);
    } catch (...) {
      queue->close(std::current_exception());
    }
  }
};

Loader::Loader(const Dataset& dataset, LoaderOptions options)
    : impl_(std::make_unique<Impl>(dataset, std::move(options))) {}

Loader::~Loader() = default;

std::int64_t Loader::batches_per_epoch() const { return impl_->batches; }

const LoaderOptions& Loader::options() const { return impl_->options; }

void Loader::start(std::int64_t epoch, std::int64_t first_batch) {
  Impl& impl = *impl_;
  if (epoch < 0) fail<UsageError>("[loader] expected an epoch of at least 0, got {}", epoch);
  if (first_batch < 0 || first_batch > impl.batches) {
    fail<UsageError>("[loader] expected a first batch from 0 to {}, got {}", impl.batches,
                     first_batch);
  }
  impl.stop();
  std::iota(impl.order.begin(), impl.order.end(), std::int64_t{0});
  if (impl.options.shuffle) {
    Random random = Random(impl.options.seed).fork(static_cast<std::uint64_t>(epoch));
    random.shuffle(impl.order);
  }
  impl.epoch = epoch;
  impl.position = first_batch;
  if (impl.options.prefetch && first_batch < impl.batches) {
    impl.queue = std::make_unique<Queue>();
    impl.producer = std::jthread([&impl](const std::stop_token& stop) { impl.produce(stop); });
  }
  impl.started = true;
}

bool Loader::next(Batch& batch) {
  Impl& impl = *impl_;
  if (!impl.started) fail<StateError>("[loader] expected start(epoch) before next()");
  if (impl.queue) {
    std::optional<Batch> made = impl.queue->pop();
    if (!made) return false;
    batch = *std::move(made);
    return true;
  }
  if (impl.position >= impl.batches) return false;
  batch = impl.make(impl.position);
  ++impl.position;
  return true;
}

}  // namespace evenkeel::data
