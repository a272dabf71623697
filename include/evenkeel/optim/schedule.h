// How the learning rate changes during training.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace evenkeel::optim {

/// Where a run stands.
struct SchedulePosition {
  std::int64_t step = 0;         ///< from 0
  std::int64_t total_steps = 1;  ///< of the run
  std::int64_t warmup = 0;       ///< steps of linear warm-up at the beginning
  std::int64_t steps_per_epoch = 1;
};

/// The factor on the peak rate after the warm-up.
using ScheduleShape = std::function<double(const SchedulePosition&)>;

/// One row of the table of schedules.
struct ScheduleRow {
  std::string name;              ///< "step"
  std::string pattern;           ///< "step:EPOCHS,FACTOR"
  std::string help;              ///< one line
  std::vector<double> defaults;  ///< of the numbers after the colon
  /// From as many numbers as there are defaults. Throws UsageError for a number out of range.
  ScheduleShape (*make)(const std::vector<double>& numbers);
};

/// constant; step:EPOCHS,FACTOR (× FACTOR every EPOCHS epochs); cosine (from lr to 0 over the run);
/// one-cycle:UP (PyTorch's OneCycleLR with cosine annealing: from lr/25 up to lr over the part UP
/// of the run, then down to lr/250000; Smith and Topin, https://arxiv.org/abs/1708.07120).
std::span<const ScheduleRow> schedules();

struct ScheduleOptions {
  double lr = 0.1;          ///< the peak rate
  std::int64_t warmup = 0;  ///< the first steps rise linearly: lr·1/warmup, lr·2/warmup, …
  std::int64_t steps_per_epoch = 1;
};

class Schedule {
 public:
  /// `spec` is a name of schedules(), with numbers after a colon or without. Throws UsageError for
  /// an unknown name (with the nearest one), for numbers that do not fit, and for options out of
  /// range.
  Schedule(const std::string& spec, ScheduleOptions options);

  /// The rate of step `step` of a run of `total_steps`; steps outside count as the first or last
  /// one. cosine and one-cycle begin after the warm-up and end with the run.
  double lr_at(std::int64_t step, std::int64_t total_steps) const;

  const std::string& spec() const { return spec_; }

 private:
  std::string spec_;
  ScheduleOptions options_;
  ScheduleShape shape_;
};

}  // namespace evenkeel::optim
