// From settings to a run that can begin.
#include <algorithm>

#include "train/trainer_impl.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/data/source.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/memory.h>

namespace evenkeel::train {
namespace {

data::Splits open_data(const Settings& settings) {
  check(settings);
  return data::open_source(settings.data,
                           {.validation = settings.validation, .seed = settings.seed});
}

data::LoaderOptions loading(const Settings& settings, const Shape& sample,
                            const data::Normalization& normalization) {
  data::LoaderOptions options;
  options.batch_size = settings.batch_size;
  options.shuffle = true;
  options.augment.flip = settings.augment.find("flip") != std::string::npos;
  if (settings.augment.find("crop") != std::string::npos) {
    options.augment.crop = std::max<std::int64_t>(1, sample[1] / 8);  // 4 of 32 pixels, as usual
  }
  options.normalization = normalization;
  options.layout =
      settings.layout == "channels_last" ? Layout::channels_last : Layout::channels_first;
  options.dtype = dtype_of(settings);
  options.seed = settings.seed;
  return options;
}

/// A short last batch is left out where it is less than a virtual batch; a full one must not be.
data::LastBatch last_batch(const Stepper& stepper, const Settings& settings, std::int64_t samples) {
  const std::int64_t full = std::min(settings.batch_size, samples);
  if (const nn::BatchNorm* const layer = stepper.too_large_for(full); layer != nullptr) {
    fail<UsageError>(
        "[train] {} takes statistics over {} samples, more than go through the network at a time "
        "(batches of {} in {} parts); give a larger 'batch_size', less 'accumulate' or smaller "
        "virtual batches",
        layer->label(), layer->least_samples(), full, settings.accumulate);
  }
  const std::int64_t rest = samples % settings.batch_size;
  const bool dropped = rest > 0 && stepper.too_large_for(rest) != nullptr;
  return dropped ? data::LastBatch::drop : data::LastBatch::keep;
}

/// Samples that go through the network at a time; 0: the whole batch.
std::int64_t micro_batch(const Settings& settings) {
  if (settings.accumulate == 1) return 0;
  return (settings.batch_size + settings.accumulate - 1) / settings.accumulate;
}

std::unique_ptr<optim::Optimizer> optimizer_for(nn::Module& network, const Settings& settings) {
  const optim::GroupOptions groups{.weight_decay = settings.weight_decay.value_or(0),
                                   .decay_norm = settings.decay_norm};
  optim::OptimizerOptions options;
  options.sgd = {.momentum = settings.sgd_momentum, .nesterov = settings.nesterov};
  return optim::make_optimizer(settings.optimizer, optim::make_groups(network, groups), options);
}

void check_splits(const data::Splits& splits) {
  if (splits.train.size() < 2) {
    fail<UsageError>("[train] expected two training samples or more, got {}; give another data set",
                     splits.train.size());
  }
}

/// Batches of sequences are as long as their longest.
void check_takes_shorter(const nn::Module& network, const data::Dataset& dataset) {
  if (dataset.lengths.empty() || dataset.samples.dim(2) < 2) return;
  const std::int64_t steps = dataset.samples.dim(2);
  try {
    (void)network.output_shape({2, dataset.samples.dim(1), steps - 1});
  } catch (const ShapeError& error) {
    fail<ShapeError>(
        "[train] expected a network that takes sequences of any number of steps, got one for {} "
        "alone ({}); list layers such as LSTM and then MeanOverTime or LastStep in a config file",
        steps, error.what());
  }
}

}  // namespace

Trainer::Impl::Impl(const Settings& wanted, data::Splits data, Reporter* listener)
    : splits(std::move(data)), reporter(listener != nullptr ? *listener : silent) {
  check(wanted);
  check_splits(splits);
  settings = resolve(wanted, splits.train.sample_shape());
  if (settings.threads > 0) set_max_threads(static_cast<int>(settings.threads));
  if (settings.deterministic) set_deterministic(true);
  options = train::network_options(settings, splits.train.sample_shape(), splits.train.classes);
  network = model::build_network(options, settings.seed);
  check_takes_shorter(*network, splits.train);
  network->set_needs_input_gradient(false);
  if (settings.fusion) fused = nn::fuse(*network);
  nn::set_memory(*network, nn::memory_of(settings.memory));
  normalization = data::measure_normalization(splits.train);
  optimizer = optimizer_for(*network, settings);
  stepper = std::make_unique<Stepper>(*network, *optimizer, settings.label_smoothing, settings.clip,
                                      micro_batch(settings));
  data::LoaderOptions batches = loading(settings, splits.train.sample_shape(), normalization);
  batches.last = last_batch(*stepper, settings, splits.train.size());
  loader = std::make_unique<data::Loader>(splits.train, batches);
  total_steps = settings.epochs * loader->batches_per_epoch();
  schedule = std::make_unique<optim::Schedule>(
      settings.schedule, optim::ScheduleOptions{.lr = *settings.lr,
                                                .warmup = settings.warmup,
                                                .steps_per_epoch = loader->batches_per_epoch()});
  averages = std::make_unique<Averages>(*network, settings, loader->batches_per_epoch());
  progress.seed = static_cast<std::int64_t>(settings.seed);
}

Trainer::Trainer(const Settings& settings, Reporter* reporter)
    : impl_(std::make_unique<Impl>(settings, open_data(settings), reporter)) {}

Trainer::Trainer(const Settings& settings, data::Splits splits, Reporter* reporter)
    : impl_(std::make_unique<Impl>(settings, std::move(splits), reporter)) {}

Trainer::~Trainer() = default;

TrainResult Trainer::run() {
  if (impl_->folder) fail<StateError>("[train] run() was called before; make another Trainer");
  return impl_->run();
}

void Trainer::request_stop(int signal) { impl_->requested = signal; }

const Settings& Trainer::settings() const { return impl_->settings; }
nn::Module& Trainer::network() { return *impl_->network; }
const model::NetworkOptions& Trainer::network_options() const { return impl_->options; }
const data::Splits& Trainer::splits() const { return impl_->splits; }
const data::Normalization& Trainer::normalization() const { return impl_->normalization; }

}  // namespace evenkeel::train
