#include "lab/trial.h"

#include <algorithm>
#include <cmath>

#include <evenkeel/core/error.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::lab {
namespace {

constexpr std::int64_t kFirstEvaluation = 8;

data::LoaderOptions loading(const Material& material, const Trial& trial) {
  data::LoaderOptions options;
  options.batch_size = std::min(trial.batch_size, material.splits.train.size());
  options.shuffle = true;
  options.last = data::LastBatch::drop;  // every step sees as many samples
  options.augment = trial.augment;
  options.normalization = material.normalization;
  options.layout = trial.layout;
  options.seed = trial.seed;
  options.prefetch = false;  // other cells use the other processors
  return options;
}

/// Means over stretches of the run.
class LossCurve {
 public:
  LossCurve(Series& curve, std::int64_t steps)
      : curve_(curve), stretch_(std::max<std::int64_t>(10, steps / 100)) {}

  void add(std::int64_t step, double loss) {
    sum_ += loss;
    if (++count_ < stretch_) return;
    curve_.x.push_back(static_cast<double>(step + 1));
    curve_.y.push_back(sum_ / static_cast<double>(count_));
    sum_ = 0;
    count_ = 0;
  }

 private:
  Series& curve_;
  std::int64_t stretch_;
  double sum_ = 0;
  std::int64_t count_ = 0;
};

/// Batches without end: epoch after epoch.
class Batches {
 public:
  Batches(const Material& material, const Trial& trial)
      : loader_(material.splits.train, loading(material, trial)), batch_of_(trial.batch_of) {
    loader_.start(0);
  }

  data::Batch next(std::int64_t step) {
    data::Batch batch;
    while (!loader_.next(batch)) loader_.start(++epoch_);
    if (!batch_of_) return batch;
    const std::int64_t used = std::clamp<std::int64_t>(batch_of_(step), 1, batch.size());
    batch.x = batch.x.slice(0, used);
    batch.labels.resize(static_cast<std::size_t>(used));
    if (!batch.lengths.empty()) batch.lengths.resize(static_cast<std::size_t>(used));
    return batch;
  }
  std::int64_t per_epoch() const { return loader_.batches_per_epoch(); }

 private:
  data::Loader loader_;
  std::function<std::int64_t(std::int64_t)> batch_of_;
  std::int64_t epoch_ = 0;
};

}  // namespace

Trained train(const Material& material, const Trial& trial) {
  Trained result;
  result.network = trial.network(trial.seed);
  nn::Module& network = *result.network;
  network.set_needs_input_gradient(false);
  if (trial.fuse) nn::fuse(network);
  optim::OptimizerOptions choice;
  choice.sgd.momentum = trial.momentum;
  const auto optimizer = optim::make_optimizer(
      trial.optimizer, optim::make_groups(network, {.weight_decay = trial.weight_decay}), choice);
  Batches batches(material, trial);
  const optim::Schedule schedule(trial.schedule,
                                 {.lr = trial.rate, .steps_per_epoch = batches.per_epoch()});
  const nn::CrossEntropy cross_entropy;
  LossCurve curve(result.loss, trial.steps);
  const std::int64_t last_part = trial.steps - std::max<std::int64_t>(1, trial.steps / 10);
  double last_sum = 0;
  std::int64_t last_count = 0;
  const std::vector<std::int64_t> evaluations = evaluations_of(trial);
  auto next_evaluation = evaluations.begin();
  network.train();
  for (std::int64_t step = 0; step < trial.steps; ++step) {
    const data::Batch batch = batches.next(step);
    const nn::LengthsScope lengths(network, nn::Lengths(batch.lengths));
    if (trial.hooks.before) trial.hooks.before(step, network, batch);
    network.zero_grad();
    const nn::LossResult loss = cross_entropy(network.forward(batch.x), batch.labels);
    if (!std::isfinite(loss.value)) {
      network.clear_saved();
      result.diverged = true;
      break;
    }
    network.backward(loss.gradient);
    if (trial.clip > 0) optim::clip_gradients(network, trial.clip);
    if (trial.hooks.gradients) trial.hooks.gradients(step, network, batch);
    optimizer->step(schedule.lr_at(step, trial.steps));
    result.steps = step + 1;
    curve.add(step, loss.value);
    if (step >= last_part) {
      last_sum += loss.value;
      ++last_count;
    }
    if (step + 1 < *next_evaluation) continue;
    ++next_evaluation;
    if (trial.watched != nullptr) {
      result.accuracy.x.push_back(static_cast<double>(step + 1));
      result.accuracy.y.push_back(accuracy_on(network, material, *trial.watched, trial.layout));
    }
  }
  result.chance = 1.0 / static_cast<double>(material.classes());
  result.last_loss = last_count > 0 ? last_sum / static_cast<double>(last_count) : NAN;
  return result;
}

double Trained::final_accuracy() const {
  return diverged || accuracy.y.empty() ? chance : accuracy.y.back();
}

Measurement summarize(const Trained& trained, const Cell& cell) {
  Measurement measurement;
  measurement.values[cell.stage == "tune" ? "validation" : "accuracy"] = trained.final_accuracy();
  measurement.values["loss"] = trained.last_loss;
  measurement.values["diverged"] = trained.diverged ? 1 : 0;
  measurement.series["accuracy"] = trained.accuracy;
  measurement.series["loss"] = trained.loss;
  return measurement;
}

std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> builder(
    const Material& material, model::NetworkOptions options) {
  options.input = material.sample();
  options.classes = material.classes();
  return [options](std::uint64_t seed) { return model::build_network(options, seed); };
}

Layout layout_for(const model::NetworkOptions& options) {
  return model::prefers_channels_last(options) ? Layout::channels_last : Layout::channels_first;
}

double accuracy_on(nn::Module& network, const Material& material, const data::Dataset& part,
                   Layout layout, const train::EvalOptions& options) {
  train::EvalOptions all = options;
  all.layout = layout;
  return train::evaluate(network, part, material.normalization, all).accuracy;
}

std::vector<std::int64_t> evaluations_of(const Trial& trial) {
  std::vector<std::int64_t> steps;
  const std::int64_t every = trial.evaluate_every;
  if (every > 0) {
    if (trial.evaluate_growth > 1) {
      for (auto at = static_cast<double>(kFirstEvaluation);; at *= trial.evaluate_growth) {
        const std::int64_t step = std::llround(at);
        const std::int64_t after = std::llround(at * trial.evaluate_growth);
        if (step >= trial.steps || after - step >= every) break;
        if (steps.empty() || step > steps.back()) steps.push_back(step);
      }
    }
    std::int64_t regular = every;
    while (!steps.empty() && regular <= steps.back()) regular += every;
    for (; regular < trial.steps; regular += every) steps.push_back(regular);
  }
  steps.push_back(trial.steps);
  return steps;
}

double first_reach(const Series& curve, double goal, double otherwise) {
  for (std::size_t i = 0; i < curve.y.size(); ++i) {
    if (!(curve.y[i] >= goal)) continue;  // NaN is no accuracy
    if (i == 0) return curve.x[i];
    const double share = (goal - curve.y[i - 1]) / (curve.y[i] - curve.y[i - 1]);
    return curve.x[i - 1] + share * (curve.x[i] - curve.x[i - 1]);
  }
  return otherwise;
}

}  // namespace evenkeel::lab
