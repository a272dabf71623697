#include <evenkeel/core/error.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/nn/fixed_batch.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/train/evaluate.h>

namespace evenkeel::train {
namespace {

/// Holds a network in eval mode and gives every module its own mode back.
class EvalScope {
 public:
  explicit EvalScope(nn::Module& network) : network_(network) {
    network.visit([&](const std::string&, nn::Module& m) { modes_.push_back(m.training()); });
    network.eval();
  }
  ~EvalScope() {
    std::size_t i = 0;
    // Parents come before their children, whose own mode is set last.
    network_.visit([&](const std::string&, nn::Module& m) {
      if (m.training() != modes_[i]) m.train(modes_[i]);
      ++i;
    });
  }
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  nn::Module& network_;
  std::vector<bool> modes_;
};

void check(const data::Dataset& dataset, const EvalOptions& options) {
  if (dataset.size() == 0) fail<UsageError>("[evaluate] expected samples, got an empty data set");
  if (options.fixed_batch && options.mode == EvalMode::train) {
    fail<UsageError>(
        "[evaluate] a network that takes one batch alone is evaluated with running statistics, not "
        "with those of batches that had to be filled up");
  }
  const std::int64_t least = options.mode == EvalMode::train ? 2 : 1;
  if (options.batch_size < least) {
    fail<UsageError>("[evaluate] expected a batch size of {} or more, got {}", least,
                     options.batch_size);
  }
}

Evaluation run(nn::Module& network, const data::Dataset& dataset,
               const data::Normalization& normalization, const EvalOptions& options) {
  data::LoaderOptions loading;
  loading.batch_size = options.batch_size;
  loading.last =
      options.mode == EvalMode::train ? data::LastBatch::keep : data::LastBatch::keep_all;
  loading.normalization = normalization;
  loading.layout = options.layout;
  loading.dtype = options.dtype;
  data::Loader loader(dataset, loading);
  loader.start(0);
  const nn::CrossEntropy loss;
  Evaluation result;
  double sum = 0;
  std::int64_t correct = 0;
  data::Batch batch;
  while (loader.next(batch)) {
    const nn::LengthsScope lengths(network, nn::Lengths(batch.lengths));
    const Tensor logits = options.fixed_batch
                              ? nn::forward_filled(network, batch.x, options.batch_size)
                              : network.forward(batch.x);
    network.clear_saved();
    const double mean = options.probabilities ? nn::negative_log(logits, batch.labels)
                                              : loss.value(logits, batch.labels);
    sum += mean * static_cast<double>(batch.size());
    correct += nn::count_correct(logits, batch.labels);
    result.count += batch.size();
    if (options.progress) options.progress(result.count, dataset.size());
  }
  if (result.count == 0) {
    fail<UsageError>("[evaluate] expected two samples or more for statistics of batches, got 1");
  }
  result.loss = sum / static_cast<double>(result.count);
  result.accuracy = static_cast<double>(correct) / static_cast<double>(result.count);
  return result;
}

}  // namespace

Evaluation evaluate(nn::Module& network, const data::Dataset& dataset,
                    const data::Normalization& normalization, const EvalOptions& options) {
  check(dataset, options);
  if (options.mode == EvalMode::train) {
    const std::unique_ptr<nn::Module> copy = network.clone();
    copy->train();
    return run(*copy, dataset, normalization, options);
  }
  const EvalScope scope(network);
  return run(network, dataset, normalization, options);
}

}  // namespace evenkeel::train
