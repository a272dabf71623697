#include "lab/predictions.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include <evenkeel/core/error.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/loader.h>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kOrderStream = 0x6f72646572;

}  // namespace

std::vector<std::int32_t> predictions(const nn::Module& network, const Material& material,
                                      const data::Dataset& part, const PredictionOptions& options) {
  // A copy, for a forward in training mode moves the running statistics.
  const std::unique_ptr<nn::Module> copy = network.clone();
  copy->train(options.mode == train::EvalMode::train);
  data::Loader loader(part, {.batch_size = options.batch_size,
                             .normalization = material.normalization,
                             .layout = options.layout,
                             .prefetch = false});
  loader.start(0);
  std::vector<std::int32_t> classes;
  data::Batch batch;
  while (loader.next(batch)) {
    const nn::LengthsScope lengths(*copy, nn::Lengths(batch.lengths));
    const Tensor logits = copy->forward(batch.x);
    copy->clear_saved();
    const auto* row = logits.data<float>();
    for (std::int64_t i = 0; i < logits.dim(0); ++i, row += logits.dim(1)) {
      classes.push_back(
          static_cast<std::int32_t>(std::max_element(row, row + logits.dim(1)) - row));
    }
  }
  return classes;
}

double agreement(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  if (a.size() != b.size() || a.empty()) {
    fail<ShapeError>("[lab] expected labels of the same samples, got {} and {}", a.size(),
                     b.size());
  }
  double same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
  return same / static_cast<double>(a.size());
}

std::vector<std::int64_t> shuffled_order(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, kOrderStream);
  random.shuffle(order);
  return order;
}

}  // namespace evenkeel::lab
