#include <atomic>
#include <chrono>
#include <cmath>
#include <set>

#include "train/averages.h"
#include "train/checkpoint.h"
#include "train/run_log.h"
#include "train/run_path.h"
#include "train/stepper.h"
#include "train/stop_signal.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/data/source.h>
#include <evenkeel/io/checksum.h>
#include <evenkeel/io/file.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/memory.h>
#include <evenkeel/optim/optim.h>
#include <evenkeel/train/trainer.h>

namespace evenkeel::train {
namespace {

/// Every so many steps a line goes to the metrics.
constexpr std::int64_t kLogEvery = 50;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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

/// What makes a run this one: the settings that a resumed run may not change.
std::string identity_of(const Settings& settings) {
  model::Config config = to_config(settings);
  const OptionValue none{std::string()};
  for (const SettingField& field : setting_fields()) {
    if (field.stored && field.free_on_resume) config.values.set(field.key, none);
  }
  const std::string text = model::to_toml(config);
  return fmt::format("{:08x}", io::crc32c(std::as_bytes(std::span(text))));
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

struct Trainer::Impl {
  Impl(const Settings& wanted, data::Splits data, Reporter* listener)
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
    stepper = std::make_unique<Stepper>(*network, *optimizer, settings.label_smoothing,
                                        settings.clip, micro_batch(settings));
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

  TrainResult run();

  void open_folder();
  void restore();
  void announce();
  void train_epoch();
  void take_step(const data::Batch& batch);
  void note_trouble(const StepOutcome& outcome);
  void evaluate_between();
  void end_epoch();
  void judge(const EpochRecord& record);
  void save_checkpoint();
  void try_checkpoint();
  void save_last_checkpoint();
  void save_final_weights(TrainResult& result);
  void save_averages(TrainResult& result);
  std::optional<Evaluation> save_average(const std::optional<WeightAverage>& average,
                                         const std::filesystem::path& path);
  void count_time();
  template <class F>
  void log_to(F&& f);
  std::string last_checkpoint() const;
  bool at_checkpoint_step() const {
    return settings.checkpoint_steps > 0 && progress.step % settings.checkpoint_steps == 0;
  }
  void save_weights(const std::filesystem::path& path,
                    const std::map<std::string, std::string>& extra);
  TrainResult finish();

  model::InputRecipe recipe() const {
    return {normalization.mean, normalization.stddev, splits.train.class_names};
  }
  Evaluation evaluate_on(const data::Dataset& dataset) { return evaluate_on(dataset, *network); }
  Evaluation evaluate_on(const data::Dataset& dataset, nn::Module& which);
  int stop() const { return requested != 0 ? requested.load() : StopSignal::received(); }
  bool ended() const { return progress.epoch >= settings.epochs || progress.stopped_early != 0; }

  Reporter silent;
  Settings settings;
  data::Splits splits;
  Reporter& reporter;
  model::NetworkOptions options;
  std::unique_ptr<nn::Module> network;
  int fused = 0;
  data::Normalization normalization;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<Stepper> stepper;
  std::unique_ptr<data::Loader> loader;
  std::unique_ptr<optim::Schedule> schedule;
  std::unique_ptr<Averages> averages;
  std::int64_t total_steps = 0;

  std::optional<model::RunFolder> folder;
  std::optional<CheckpointFolder> checkpoints;
  std::unique_ptr<RunLog> log;
  bool log_failed = false;
  Progress progress;
  std::optional<ResumePoint> resumed;
  std::optional<std::int64_t> saved_step;  // of the last checkpoint
  std::string unsaved;                     // why the one after it could not be saved
  std::set<std::string> troubles;          // that the reporter heard of
  std::int64_t first_step = 0;             // of this process
  Clock::time_point started;
  Clock::time_point resumed_clock;  // since when training time was last counted
  std::atomic<int> requested{0};
};

TrainResult Trainer::Impl::run() {
  const StopSignal
      signals;  // first: from when there is a folder, an interruption leaves a run in it
  open_folder();
  if (settings.resume) restore();
  log = std::make_unique<RunLog>(*folder);
  announce();
  started = Clock::now();
  first_step = progress.step;
  network->train();
  while (!ended() && stop() == 0) train_epoch();
  if (!ended()) save_last_checkpoint();
  return finish();
}

void Trainer::Impl::open_folder() {
  if (settings.resume) {
    folder = model::RunFolder::open(settings.out);
    check_same_run(settings, stored_settings(settings.out));
    io::probe_writable(folder->path());
  } else {
    if (settings.out.empty()) settings.out = free_run_path(settings).string();
    folder = model::RunFolder::create(settings.out, settings.replace);
  }
  checkpoints.emplace(folder->checkpoints(), identity_of(settings));
  checkpoints->prepare();
  if (!settings.resume) {
    Settings stored = settings;
    stored.replace = false;  // whoever starts another run from this file must ask for it again
    io::write_file_atomic(folder->config(), std::string_view(model::to_toml(to_config(stored))));
  }
}

void Trainer::Impl::restore() {
  auto found =
      checkpoints->read_newest([this](const std::string& text) { reporter.on_warning(text); });
  if (found) {
    network->load_state_dict(found->checkpoint.network);
    optimizer->load_state_dict(found->checkpoint.optimizer);
    averages->load_state_dict(found->checkpoint.averages);
    progress = std::move(found->checkpoint.progress);
    saved_step = progress.step;
  } else {
    reporter.on_warning(fmt::format(
        "[train] '{}' has no checkpoint yet; starting from the beginning", settings.out));
    found.emplace();
  }
  resumed = ResumePoint{found->name,        found->damaged, progress.step,
                        progress.epoch + 1, progress.batch, ended()};
  // Lines written after the checkpoint will be written again.
  std::error_code ignored;
  const auto written = std::filesystem::file_size(folder->metrics(), ignored);
  const auto kept = static_cast<std::uintmax_t>(progress.metrics_bytes);
  if (!ignored && written > kept) std::filesystem::resize_file(folder->metrics(), kept, ignored);
}

void Trainer::Impl::announce() {
  RunInfo info;
  info.settings = settings;
  info.folder = folder->path();
  info.train_samples = splits.train.size();
  info.validation_samples = splits.validation.size();
  info.test_samples = splits.test.size();
  info.classes = splits.train.classes;
  info.sample = splits.train.sample_shape();
  info.parameters = network->parameter_count();
  info.fused_layers = fused;
  info.steps_per_epoch = loader->batches_per_epoch();
  info.total_steps = total_steps;
  info.resumed = resumed;
  log_to([&] { log->start(info); });
  reporter.on_start(info);
}

void Trainer::Impl::train_epoch() {
  if (progress.batch == 0) progress.begin_epoch();
  loader->start(progress.epoch, progress.batch);
  resumed_clock = Clock::now();
  data::Batch batch;
  while (stop() == 0 && loader->next(batch)) take_step(batch);
  count_time();
  if (progress.batch == loader->batches_per_epoch()) end_epoch();
}

void Trainer::Impl::count_time() {
  const double spent = seconds_since(resumed_clock);
  progress.epoch_seconds += spent;
  progress.seconds += spent;
  resumed_clock = Clock::now();
}

/// A log that cannot be written is said once and does not end the run.
template <class F>
void Trainer::Impl::log_to(F&& f) {
  try {
    f();
  } catch (const IoError& error) {
    if (!log_failed) reporter.on_warning(fmt::format("{}; training goes on", error.what()));
    log_failed = true;  // for good: there are two logs, and one may be well
  }
}

void Trainer::Impl::take_step(const data::Batch& batch) {
  const double lr = averages->rate(progress.step, schedule->lr_at(progress.step, total_steps));
  const StepOutcome outcome = stepper->step(batch, lr);
  if (!outcome.skipped) averages->after_step();
  ++progress.step;
  ++progress.batch;
  progress.epoch_lr = lr;
  progress.samples += batch.size();
  progress.epoch_samples += batch.size();
  progress.epoch_correct += outcome.correct;
  if (std::isfinite(outcome.loss)) {
    progress.epoch_finite += batch.size();
    progress.epoch_loss += outcome.loss * static_cast<double>(batch.size());
  }
  note_trouble(outcome);
  if (progress.step % kLogEvery == 0) {
    log_to([&] {
      log->step(progress.step, progress.epoch + 1, outcome.loss,
                static_cast<double>(outcome.correct) / static_cast<double>(batch.size()), lr);
    });
  }
  reporter.on_step({progress.epoch + 1, progress.step, total_steps, progress.mean_loss(),
                    progress.accuracy(), lr, seconds_since(started), progress.step - first_step});
  evaluate_between();
  const bool epoch_over = progress.batch == loader->batches_per_epoch();  // end_epoch saves then
  if (at_checkpoint_step() && !epoch_over) {
    count_time();
    try_checkpoint();
  }
}

void Trainer::Impl::note_trouble(const StepOutcome& outcome) {
  progress.skipped_in_a_row = outcome.skipped ? progress.skipped_in_a_row + 1 : 0;
  if (outcome.trouble.empty()) return;
  if (outcome.skipped) {
    ++progress.skipped;
    ++progress.epoch_skipped;
  }
  if (progress.skipped_in_a_row >= kMaxSkipped) {
    fail<NumericError>(
        "[train] {} steps in a row were not finite (the last, step {} of epoch {}: {}); lower 'lr' "
        "(it is {}) or bound the gradient with 'clip', such as 1",
        kMaxSkipped, progress.step, progress.epoch + 1, outcome.trouble, *settings.lr);
  }
  const bool first = troubles.insert(outcome.trouble).second;
  const std::string text = fmt::format(
      "[train] epoch {}, step {}: {}{}", progress.epoch + 1, progress.step, outcome.trouble,
      outcome.skipped ? "; the step is skipped, parameters stay as they were" : "");
  if (progress.epoch_skipped == 1 || !outcome.skipped) log_to([&] { log->warning(text); });
  if (first) reporter.on_warning(text);
}

void Trainer::Impl::evaluate_between() {
  if (settings.eval_every == 0) return;
  if (progress.step % settings.eval_every != 0 && progress.step != total_steps) return;
  const data::Dataset& part = splits.validation.size() > 0 ? splits.validation : splits.test;
  if (part.size() == 0) return;
  const auto before = Clock::now();
  progress.evaluations.push_back({progress.step, evaluate_on(part)});
  log_to([&] { log->evaluation(progress.evaluations.back()); });
  reporter.on_evaluation(progress.evaluations.back());
  resumed_clock += Clock::now() - before;  // not training time
}

void Trainer::Impl::end_epoch() {
  EpochRecord record;
  record.epoch = progress.epoch + 1;
  record.step = progress.step;
  record.loss = progress.mean_loss();
  record.accuracy = progress.accuracy();
  record.lr = progress.epoch_lr;
  record.seconds = progress.epoch_seconds;
  record.skipped = progress.epoch_skipped;
  averages->after_epoch(progress.step);
  if (splits.validation.size() > 0) record.validation = evaluate_on(splits.validation);
  judge(record);
  progress.history.push_back(record);
  ++progress.epoch;
  progress.batch = 0;
  log_to([&] { log->epoch(record, *network); });
  reporter.on_epoch(record);
  const std::int64_t every = settings.checkpoint_every;
  const bool wanted = every > 0 && (progress.epoch % every == 0 || ended());
  if (wanted || at_checkpoint_step()) try_checkpoint();
}

void Trainer::Impl::judge(const EpochRecord& record) {
  if (!record.validation) return;
  if (progress.best_epoch == 0 || record.validation->accuracy > progress.best_accuracy) {
    progress.best_epoch = record.epoch;
    progress.best_accuracy = record.validation->accuracy;
    try {
      save_weights(folder->best(), {{"epoch", fmt::format("{}", record.epoch)}});
    } catch (const IoError& error) {
      reporter.on_warning(fmt::format("[train] the best weights, of epoch {}, are not saved: {}",
                                      record.epoch, error.what()));
    }
  }
  const bool enough =
      settings.patience > 0 && record.epoch - progress.best_epoch >= settings.patience;
  if (enough) progress.stopped_early = 1;
}

void Trainer::Impl::save_checkpoint() {
  std::error_code ignored;
  const auto written = std::filesystem::file_size(folder->metrics(), ignored);
  progress.metrics_bytes = ignored ? 0 : static_cast<std::int64_t>(written);
  auto metadata = model::network_metadata(options, recipe());
  metadata.emplace("step", fmt::format("{}", progress.step));
  checkpoints->write({network->state_dict(), optimizer->state_dict(), averages->state_dict(),
                      progress, std::move(metadata)});
  saved_step = progress.step;
}

/// In the middle of a run: an error is said, and the next checkpoint tries again.
void Trainer::Impl::try_checkpoint() {
  try {
    save_checkpoint();
    unsaved.clear();
  } catch (const IoError& error) {
    unsaved = error.what();
    if (ended()) return;  // finish() says it
    reporter.on_warning(fmt::format("[train] no checkpoint of step {}: {}; training goes on, {}",
                                    progress.step, error.what(), last_checkpoint()));
  }
}

/// Of a run that is interrupted: what is not saved now is lost.
void Trainer::Impl::save_last_checkpoint() {
  if (saved_step == progress.step) return;
  try {
    save_checkpoint();
  } catch (const IoError& error) {
    fail<IoError>("[train] interrupted after step {}, which is not saved: {}; {}", progress.step,
                  error.what(), last_checkpoint());
  }
}

std::string Trainer::Impl::last_checkpoint() const {
  return saved_step ? fmt::format("the last checkpoint is of step {}", *saved_step)
                    : "there is no checkpoint yet";
}

void Trainer::Impl::save_weights(const std::filesystem::path& path,
                                 const std::map<std::string, std::string>& extra) {
  model::save_network(path, *network, options, recipe(), extra);
}

TrainResult Trainer::Impl::finish() {
  TrainResult result;
  result.folder = folder->path();
  result.finished = ended();
  result.stopped_early = progress.stopped_early != 0;
  result.signal = stop();
  result.steps = progress.step;
  result.skipped = progress.skipped;
  result.seconds = progress.seconds;
  result.samples_per_second =
      progress.seconds > 0 ? static_cast<double>(progress.samples) / progress.seconds : 0;
  result.history = progress.history;
  result.evaluations = progress.evaluations;
  result.best_epoch = progress.best_epoch;
  result.best_accuracy = progress.best_accuracy;
  if (result.finished) {
    save_final_weights(result);
    save_averages(result);
  }
  log_to([&] { log->end(result); });
  reporter.on_end(result);
  if (result.finished && !unsaved.empty()) {
    fail<IoError>("[train] training is complete, but its last checkpoint is not saved: {}; {}",
                  unsaved, last_checkpoint());
  }
  return result;
}

void Trainer::Impl::save_final_weights(TrainResult& result) {
  std::map<std::string, std::string> extra{{"step", fmt::format("{}", progress.step)}};
  if (splits.test.size() > 0) {
    result.test = evaluate_on(splits.test);
    extra["test_accuracy"] = fmt::format("{}", result.test->accuracy);
  }
  try {
    save_weights(folder->weights(), extra);
  } catch (const IoError& error) {
    fail<IoError>("[train] training is complete, but its weights are not saved: {}; {}",
                  error.what(), last_checkpoint());
  }
}

void Trainer::Impl::save_averages(TrainResult& result) {
  result.ema = save_average(averages->ema(), folder->ema());
  result.swa = save_average(averages->swa(), folder->swa());
}

/// With running statistics of its own: those of the run belong to other weights.
std::optional<Evaluation> Trainer::Impl::save_average(const std::optional<WeightAverage>& average,
                                                      const std::filesystem::path& path) {
  if (!average) return std::nullopt;
  const std::string name = path.stem().string();
  if (average->count() == 0) {
    reporter.on_warning(fmt::format("[train] the run ended before {} began; there is no {}", name,
                                    path.filename().string()));
    return std::nullopt;
  }
  std::map<std::string, std::string> extra{
      {"step", fmt::format("{}", progress.step)},
      {"average", fmt::format("{} of {} weights", name, average->count())}};
  std::optional<Evaluation> evaluation;
  try {
    const std::unique_ptr<nn::Module> copy =
        averaged(*network, *average, splits.train, loader->options());
    if (splits.test.size() > 0) {
      evaluation = evaluate_on(splits.test, *copy);
      extra["test_accuracy"] = fmt::format("{}", evaluation->accuracy);
    }
    model::save_network(path, *copy, options, recipe(), extra);
  } catch (const Error& error) {
    fail<IoError>("[train] training is complete, but its averaged weights are not saved: {}; {}",
                  error.what(), last_checkpoint());
  }
  return evaluation;
}

Evaluation Trainer::Impl::evaluate_on(const data::Dataset& dataset, nn::Module& which) {
  return evaluate(
      which, dataset, normalization,
      {.layout = loader->options().layout, .dtype = loader->options().dtype, .progress = {}});
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
