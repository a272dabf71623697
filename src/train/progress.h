// Where a run stands: everything that a resumed run needs beside weights and optimizer.
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/train/reporter.h>

namespace evenkeel::train {

struct Progress {
  std::int64_t epoch = 0;  ///< from 0: the one that runs or comes next
  std::int64_t batch = 0;  ///< of that epoch: the next
  std::int64_t step = 0;   ///< taken so far
  std::int64_t samples = 0;
  std::int64_t skipped = 0;
  std::int64_t skipped_in_a_row = 0;

  // Of the epoch that runs.
  std::int64_t epoch_samples = 0;
  std::int64_t epoch_finite = 0;  ///< samples whose loss was finite
  std::int64_t epoch_correct = 0;
  std::int64_t epoch_skipped = 0;
  double epoch_loss = 0;  ///< sum over the samples with a finite loss
  double epoch_lr = 0;
  double epoch_seconds = 0;
  double seconds = 0;  ///< of training

  std::int64_t best_epoch = 0;
  double best_accuracy = 0;
  std::int64_t stopped_early = 0;  ///< 0 or 1
  std::int64_t seed = 0;
  std::int64_t metrics_bytes = 0;  ///< length of metrics.jsonl

  std::vector<EpochRecord> history;
  std::vector<StepEvaluation> evaluations;

  /// Calls f on every number that is stored, integers and doubles, in a fixed order: the one list
  /// from which writing and reading derive.
  template <class Self, class F>
  static void each(Self& p, F&& f) {
    for (auto* i : {&p.epoch, &p.batch, &p.step, &p.samples, &p.skipped, &p.skipped_in_a_row,
                    &p.epoch_samples, &p.epoch_finite, &p.epoch_correct, &p.epoch_skipped,
                    &p.best_epoch, &p.stopped_early, &p.seed, &p.metrics_bytes}) {
      f(*i);
    }
    for (auto* d : {&p.epoch_loss, &p.epoch_lr, &p.epoch_seconds, &p.seconds, &p.best_accuracy}) {
      f(*d);
    }
  }

  void begin_epoch() {
    epoch_samples = epoch_finite = epoch_correct = epoch_skipped = 0;
    epoch_loss = epoch_seconds = 0;
  }
  double mean_loss() const { return epoch_loss / static_cast<double>(epoch_finite); }
  double accuracy() const {
    return static_cast<double>(epoch_correct) / static_cast<double>(epoch_samples);
  }
};

}  // namespace evenkeel::train
