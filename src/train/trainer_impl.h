// What a run holds while it goes on. trainer_setup.cpp makes it from the settings, trainer.cpp
// takes the steps, trainer_folder.cpp opens, resumes and saves.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "train/averages.h"
#include "train/checkpoint.h"
#include "train/run_log.h"
#include "train/stepper.h"
#include "train/stop_signal.h"
#include <evenkeel/core/error.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/optim/optim.h>
#include <evenkeel/train/trainer.h>

namespace evenkeel::train {

struct Trainer::Impl {
  using Clock = std::chrono::steady_clock;

  Impl(const Settings& wanted, data::Splits data, Reporter* listener);

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

}  // namespace evenkeel::train
