// What a training run tells while it runs, and who listens.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/train/evaluate.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::train {

/// What a resumed run found.
struct ResumePoint {
  std::string checkpoint;    ///< file name; empty where the run had none yet
  std::int64_t damaged = 0;  ///< newer checkpoints that were passed over
  std::int64_t step = 0;     ///< taken so far
  std::int64_t epoch = 0;    ///< from 1: the one that goes on or comes next
  std::int64_t batch = 0;    ///< of that epoch: taken so far
  bool finished = false;     ///< nothing is left to train
};

/// Known before the first step.
struct RunInfo {
  Settings settings;  ///< resolved
  std::filesystem::path folder;
  std::int64_t train_samples = 0, validation_samples = 0, test_samples = 0;
  std::int64_t classes = 0;
  Shape sample;
  std::int64_t parameters = 0;
  int fused_layers = 0;
  std::int64_t steps_per_epoch = 0, total_steps = 0;
  std::optional<ResumePoint> resumed;  ///< of a resumed run
};

/// After every step; loss and accuracy are means over the epoch so far.
struct StepInfo {
  std::int64_t epoch = 0;  ///< from 1
  std::int64_t step = 0;   ///< from 1, over the whole run
  std::int64_t total_steps = 0;
  double loss = 0, accuracy = 0;
  double lr = 0;
  double seconds = 0;            ///< since this process began to train
  std::int64_t steps_taken = 0;  ///< by this process
};

/// After every epoch.
struct EpochRecord {
  std::int64_t epoch = 0;         ///< from 1
  std::int64_t step = 0;          ///< steps taken so far
  double loss = 0, accuracy = 0;  ///< means over the epoch's batches, in training mode
  std::optional<Evaluation> validation;
  double lr = 0;  ///< of the epoch's last step
  double seconds = 0;
  std::int64_t skipped = 0;  ///< steps without an update, for something was not finite
};

/// An evaluation in the middle of training (Settings::eval_every).
struct StepEvaluation {
  std::int64_t step = 0;
  Evaluation evaluation;
};

struct TrainResult {
  std::filesystem::path folder;
  bool finished = false;               ///< false: interrupted, and a checkpoint was written
  bool stopped_early = false;          ///< by Settings::patience
  int signal = 0;                      ///< that interrupted the run
  std::optional<Evaluation> test;      ///< final weights on the test part, where there is one
  std::optional<Evaluation> ema, swa;  ///< averaged weights on it, where there are any
  std::int64_t steps = 0;
  std::int64_t skipped = 0;
  double seconds = 0;  ///< of training, without evaluations; over all parts of a resumed run
  double samples_per_second = 0;
  std::vector<EpochRecord> history;
  std::vector<StepEvaluation> evaluations;
  std::int64_t best_epoch = 0;  ///< by validation accuracy; 0 without validation
  double best_accuracy = 0;

  /// 0, or 128 + signal.
  int exit_code() const { return signal == 0 ? 0 : 128 + signal; }
  /// The first evaluated step whose accuracy reached `accuracy`, if any did.
  std::optional<std::int64_t> steps_to(double accuracy) const;
};

/// Listens to a run; by default to nothing.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void on_start(const RunInfo& /*info*/) {}
  virtual void on_step(const StepInfo& /*info*/) {}
  virtual void on_epoch(const EpochRecord& /*record*/) {}
  virtual void on_evaluation(const StepEvaluation& /*evaluation*/) {}
  virtual void on_end(const TrainResult& /*result*/) {}
  virtual void on_warning(const std::string& /*text*/) {}
};

/// For people: a table with one line per epoch on `lines`, and while an epoch runs, a progress bar
/// with the time that remains on `bar`, only if that is a terminal.
class TerminalReporter : public Reporter {
 public:
  explicit TerminalReporter(std::FILE* lines = stdout, std::FILE* bar = stderr);

  void on_start(const RunInfo& info) override;
  void on_step(const StepInfo& info) override;
  void on_epoch(const EpochRecord& record) override;
  void on_end(const TrainResult& result) override;
  void on_warning(const std::string& text) override;

 private:
  /// One line of the table; the validation column only where there is one.
  std::string row(const std::string& epoch, const std::string& loss, const std::string& train,
                  const std::string& validation, const std::string& lr,
                  const std::string& seconds) const;
  void clear_bar();
  void print(const std::string& line);

  std::FILE* lines_;
  std::FILE* bar_;
  bool interactive_;
  bool bar_shown_ = false;
  bool validation_ = false;
  std::int64_t epochs_ = 0;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace evenkeel::train
