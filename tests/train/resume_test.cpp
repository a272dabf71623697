#include <gtest/gtest.h>
#include <signal.h>

#include "train/runs.h"
#include "train/stop_signal.h"

namespace evenkeel::train {
namespace {

namespace fs = std::filesystem;
using testing::checkpoints_of;
using testing::contains;
using testing::error_of;
using testing::read_text;
using testing::RecordingReporter;
using testing::same_tensors;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

/// The run as it is when nothing happens.
TrainResult run_whole(const Settings& settings, bool validation = false) {
  return Trainer(settings, tiny_splits(validation)).run();
}

/// The same run, stopped after step `last`.
TrainResult run_until(std::int64_t last, const Settings& settings, bool validation = false) {
  RecordingReporter reporter;
  Trainer trainer(settings, tiny_splits(validation), &reporter);
  reporter.at_step = [&](const StepInfo& info) {
    if (info.step == last) trainer.request_stop(SIGTERM);
  };
  return trainer.run();
}

TrainResult resume(const fs::path& folder, bool validation = false, Reporter* reporter = nullptr) {
  return Trainer(stored_settings(folder), tiny_splits(validation), reporter).run();
}

class ResumeAfterStep : public ::testing::TestWithParam<int> {};

// Ten steps make an epoch: inside one, at its end, before its last step, at the first.
TEST_P(ResumeAfterStep, EndsWithTheSameBits) {
  for (const std::string optimizer : {"sgd", "adamw"}) {
    const TemporaryFolder folder;
    Settings settings = tiny_settings(folder / "whole");
    settings.optimizer = optimizer;
    settings.eval_every = 7;
    const TrainResult whole = run_whole(settings, true);
    settings.out = (folder / "parts").string();
    const TrainResult first = run_until(GetParam(), settings, true);
    EXPECT_FALSE(first.finished);
    EXPECT_EQ(first.steps, GetParam());
    const TrainResult second = resume(folder / "parts", true);
    EXPECT_TRUE(second.finished);
    EXPECT_TRUE(
        same_tensors(folder / "whole/final.safetensors", folder / "parts/final.safetensors"));
    EXPECT_TRUE(same_tensors(folder / "whole/best.safetensors", folder / "parts/best.safetensors"));
    ASSERT_EQ(second.history.size(), whole.history.size());
    for (std::size_t i = 0; i < whole.history.size(); ++i) {
      EXPECT_EQ(second.history[i].loss, whole.history[i].loss);
      EXPECT_EQ(second.history[i].accuracy, whole.history[i].accuracy);
      EXPECT_EQ(second.history[i].validation->loss, whole.history[i].validation->loss);
    }
    ASSERT_EQ(second.evaluations.size(), whole.evaluations.size());
    EXPECT_EQ(second.evaluations.back().evaluation.loss, whole.evaluations.back().evaluation.loss);
    EXPECT_EQ(second.best_epoch, whole.best_epoch);
    EXPECT_EQ(second.test->loss, whole.test->loss);
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, ResumeAfterStep, ::testing::Values(1, 9, 10, 11, 25),
                         [](const auto& row) { return fmt::format("{}", row.param); });

TEST(Resume, MayHappenManyTimes) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  run_whole(settings);
  settings.out = (folder / "parts").string();
  run_until(1, settings);
  for (std::int64_t last = 2; last < 30; last += 3) {
    run_until(last, stored_settings(folder / "parts"));
  }
  EXPECT_TRUE(resume(folder / "parts").finished);
  EXPECT_TRUE(same_tensors(folder / "whole/final.safetensors", folder / "parts/final.safetensors"));
}

TEST(Resume, OfARunInBf16EndsWithTheSameBits) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  settings.dtype = "bf16";
  run_whole(settings);
  settings.out = (folder / "parts").string();
  run_until(11, settings);
  EXPECT_TRUE(resume(folder / "parts").finished);
  EXPECT_TRUE(same_tensors(folder / "whole/final.safetensors", folder / "parts/final.safetensors"));
}

TEST(Resume, LeavesNoMetricTwice) {
  const TemporaryFolder folder;
  run_until(25, tiny_settings(folder / "run"));
  resume(folder / "run");
  const std::string text = read_text(folder / "run/metrics.jsonl");
  for (const std::string epoch : {"1", "2", "3"}) {
    const std::string line = "{\"kind\": \"epoch\", \"epoch\": " + epoch + ",";
    EXPECT_NE(text.find(line), std::string::npos);
    EXPECT_EQ(text.find(line), text.rfind(line));
  }
}

TEST(Resume, OfAFinishedRunChangesNothing) {
  const TemporaryFolder folder;
  const TrainResult whole = run_whole(tiny_settings(folder / "run"));
  const std::string before = read_text(folder / "run/final.safetensors");
  const TrainResult again = resume(folder / "run");
  EXPECT_TRUE(again.finished);
  EXPECT_EQ(again.steps, whole.steps);
  EXPECT_EQ(read_text(folder / "run/final.safetensors"), before);
}

TEST(Resume, TakesThePreviousCheckpointWhereTheNewestIsDamaged) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  run_whole(settings);
  settings.out = (folder / "parts").string();
  run_until(25, settings);
  const fs::path newest = checkpoints_of(folder / "parts").back();
  std::string content = read_text(newest);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 0x10);
  std::ofstream(newest, std::ios::binary) << content;
  RecordingReporter reporter;
  resume(folder / "parts", false, &reporter);
  ASSERT_EQ(reporter.warnings.size(), 1U);
  EXPECT_TRUE(contains(reporter.warnings[0], "checksum"));
  EXPECT_TRUE(contains(reporter.warnings[0], newest.filename().string()));
  ASSERT_TRUE(reporter.start.resumed.has_value());
  EXPECT_EQ(reporter.start.resumed->step, 20);
  EXPECT_EQ(reporter.start.resumed->damaged, 1);
  EXPECT_EQ(reporter.start.resumed->checkpoint, "step-0000000020.safetensors");
  EXPECT_TRUE(same_tensors(folder / "whole/final.safetensors", folder / "parts/final.safetensors"));
}

TEST(Resume, SaysWhereNoCheckpointIsIntact) {
  const TemporaryFolder folder;
  run_until(5, tiny_settings(folder / "run"));
  for (const fs::path& path : checkpoints_of(folder / "run")) std::ofstream(path) << "nothing";
  EXPECT_TRUE(contains(error_of<IoError>([&] { resume(folder / "run"); }), "no intact checkpoint"));
}

TEST(Resume, RefusesOtherSettings) {
  const TemporaryFolder folder;
  run_until(5, tiny_settings(folder / "run"));
  Settings settings = stored_settings(folder / "run");
  settings.batch_size = 16;
  EXPECT_TRUE(contains(error_of<UsageError>([&] { Trainer(settings, tiny_splits()).run(); }),
                       "'batch_size' 32, got 16"));
}

TEST(Resume, RefusesAFolderThatIsNoRun) {
  const TemporaryFolder folder;
  EXPECT_TRUE(contains(error_of<IoError>([&] { stored_settings(folder / "nothing"); }),
                       "not a run folder"));
}

TEST(Checkpoints, TheLastTwoAreKept) {
  const TemporaryFolder folder;
  run_whole(tiny_settings(folder / "run"));
  const auto paths = checkpoints_of(folder / "run");
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_EQ(paths[0].filename(), "step-0000000020.safetensors");
  EXPECT_EQ(paths[1].filename(), "step-0000000030.safetensors");
}

TEST(Checkpoints, AreNotWrittenWhereSwitchedOff) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "run");
  settings.checkpoint_every = 0;
  run_whole(settings);
  EXPECT_TRUE(checkpoints_of(folder / "run").empty());
  settings.replace = true;
  run_until(5, settings);
  EXPECT_EQ(checkpoints_of(folder / "run").size(), 1U);
}

TEST(Checkpoints, WhatAKilledRunLeftHalfWrittenIsClearedAway) {
  const TemporaryFolder folder;
  run_until(5, tiny_settings(folder / "run"));
  std::ofstream(folder / "run/checkpoints/.evenkeel-1-0-1.tmp") << "half";
  resume(folder / "run");
  EXPECT_FALSE(fs::exists(folder / "run/checkpoints/.evenkeel-1-0-1.tmp"));
}

TEST(Interrupt, BySignalEndsTheStepAndWritesACheckpoint) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryFolder folder;
    RecordingReporter reporter;
    reporter.at_step = [&](const StepInfo& info) {
      if (info.step != 13) return;
      ::kill(::getpid(), signal);  // to the process: another thread takes it
      while (StopSignal::received() == 0) ::usleep(100);
    };
    const TrainResult result =
        Trainer(tiny_settings(folder / "run"), tiny_splits(), &reporter).run();
    EXPECT_FALSE(result.finished);
    EXPECT_EQ(result.steps, 13);
    EXPECT_EQ(result.signal, signal);
    EXPECT_EQ(result.exit_code(), 128 + signal);
    EXPECT_EQ(checkpoints_of(folder / "run").back().filename(), "step-0000000013.safetensors");
    EXPECT_FALSE(fs::exists(folder / "run/final.safetensors"));
  }
}

TEST(Interrupt, HandlersOfBeforeAreBackAfterTheRun) {
  const TemporaryFolder folder;
  struct sigaction mine {
  }, after{};
  mine.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, nullptr, &mine);
  run_until(2, tiny_settings(folder / "run"));
  ::sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(after.sa_handler, mine.sa_handler);
}

TEST(Interrupt, BeforeTheFirstStepCanBeResumed) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  run_whole(settings);
  settings.out = (folder / "run").string();
  Trainer trainer(settings, tiny_splits());
  trainer.request_stop();
  EXPECT_EQ(trainer.run().steps, 0);
  resume(folder / "run");
  EXPECT_TRUE(same_tensors(folder / "whole/final.safetensors", folder / "run/final.safetensors"));
}

}  // namespace
}  // namespace evenkeel::train
