// A training run of 28 steps that takes a moment, and whether two of them are the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "faults/process.h"

namespace evenkeel::testing {

/// Four epochs of seven steps with everything that has a state: batch norm, dropout, momentum, a
/// schedule, a validation part, evaluations. 4 KiB to a checkpoint.
class TinyRun {
 public:
  static constexpr std::int64_t kSteps = 28;

  /// In `folder`, whose parent exists. A checkpoint every `every` steps.
  explicit TinyRun(std::filesystem::path folder, int every = 1);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path checkpoints() const { return folder_ / "checkpoints"; }
  std::filesystem::path checkpoint(std::int64_t step) const;

  Invocation begin() const;
  Invocation resume() const;
  /// What one does with a run that ended early: resume it; where it had not begun, begin again.
  Invocation go_on() const;

  /// Steps with a file, newest first; damaged ones too.
  std::vector<std::int64_t> steps() const;

 private:
  std::filesystem::path folder_;
  int every_;
};

/// The run that nothing happened to, made once; its checkpoints were written every step.
const TinyRun& whole_run();

/// Final and best weights byte for byte; in the newest checkpoint weights, running statistics,
/// random positions, optimizer buffers and progress (but for times); the metrics line for line; and
/// nothing temporary left.
::testing::AssertionResult ended_like_whole(const TinyRun& run);
/// The same without the newest checkpoints: of a run that wrote them at other steps.
::testing::AssertionResult same_results(const TinyRun& run);

/// Whether the checkpoint of that step holds what the uninterrupted run had after it.
::testing::AssertionResult same_checkpoint(const TinyRun& run, std::int64_t step);

/// Files that saving left half done, anywhere in a run.
std::vector<std::filesystem::path> temporaries_in(const std::filesystem::path& folder);

/// The step after which a resumed run said that it goes on; empty where it began anew.
std::optional<std::int64_t> resumed_step(const Outcome& outcome);

::testing::AssertionResult contains(const std::string& text, const std::string& part);

}  // namespace evenkeel::testing
