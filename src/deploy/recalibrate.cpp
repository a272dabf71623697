#include <numeric>

#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/deploy/recalibrate.h>

namespace evenkeel::deploy {
namespace {

void check(const data::Dataset& dataset, const RecalibrationOptions& options) {
  if (dataset.size() < 2) {
    fail<UsageError>("[recalibrate] expected two samples or more, got {}", dataset.size());
  }
  if (options.batch_size < 2) {
    fail<UsageError>("[recalibrate] expected a batch size of 2 or more, got {}",
                     options.batch_size);
  }
  if (options.samples != 0 && (options.samples < 2 || options.samples > dataset.size())) {
    fail<UsageError>("[recalibrate] expected 2 to {} samples, as many as there are, got {}",
                     dataset.size(), options.samples);
  }
  if (!(options.weight > 0 && options.weight <= 1)) {
    fail<UsageError>("[recalibrate] expected a weight above 0 and up to 1, got {}", options.weight);
  }
}

/// The samples that are used, in an order of their own: batches of one class have other statistics.
data::Dataset drawn(const data::Dataset& dataset, const RecalibrationOptions& options) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(options.seed, 0x5265);
  random.shuffle(order);
  if (options.samples != 0) order.resize(static_cast<std::size_t>(options.samples));
  return dataset.select(order);
}

}  // namespace

RecalibrationReport recalibrate(nn::Module& network, const data::Dataset& dataset,
                                const data::Normalization& normalization,
                                const RecalibrationOptions& options) {
  check(dataset, options);
  const data::Dataset samples = drawn(dataset, options);
  data::LoaderOptions loading;
  loading.batch_size = options.batch_size;
  loading.last = data::LastBatch::keep;
  loading.normalization = normalization;
  loading.layout = options.layout;
  loading.dtype = options.dtype;
  const auto batches = [&](const auto& take) {
    data::Loader loader(samples, loading);
    loader.start(0);
    for (data::Batch batch; loader.next(batch);) take(batch.x, nn::Lengths(batch.lengths));
  };
  return nn::recalibrate(network, batches,
                         {.method = options.method,
                          .order = options.order,
                          .weight = options.weight,
                          .samples = samples.size(),
                          .progress = options.progress});
}

}  // namespace evenkeel::deploy
