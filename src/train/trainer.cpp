// The steps and epochs of a run.
#include <cmath>

#include "train/trainer_impl.h"

namespace evenkeel::train {
namespace {

/// Every so many steps a line goes to the metrics.
constexpr std::int64_t kLogEvery = 50;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

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

void Trainer::Impl::take_step(const data::Batch& batch) {
  const double lr = averages->rate(progress.step, schedule->lr_at(progress.step, total_steps));
  std::optional<StepProbe> probe;
  if (settings.probe_every > 0 && (progress.step + 1) % settings.probe_every == 0) {
    probe.emplace(*network);
  }
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
  if (probe) log_to([&] { log->probe(probe->record(progress.step)); });
  probe.reset();
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

Evaluation Trainer::Impl::evaluate_on(const data::Dataset& dataset, nn::Module& which) {
  return evaluate(
      which, dataset, normalization,
      {.layout = loader->options().layout, .dtype = loader->options().dtype, .progress = {}});
}

}  // namespace evenkeel::train
