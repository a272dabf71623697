// A file in the place of another: of another run, another network, another kind. A resumed run
// takes the checkpoint before it, by name.

#include <functional>

#include <fmt/format.h>

#include "faults/small_run.h"
#include "faults/tiny_run.h"
#include <evenkeel/core/error.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

class Warnings : public train::Reporter {
 public:
  void on_start(const train::RunInfo& info) override { resumed = info.resumed; }
  void on_warning(const std::string& text) override { all.push_back(text); }

  std::optional<train::ResumePoint> resumed;
  std::vector<std::string> all;
};

/// Stops after a step.
class Stopper : public train::Reporter {
 public:
  explicit Stopper(std::int64_t last) : last_(last) {}
  void on_step(const train::StepInfo& info) override {
    if (info.step == last_) trainer->request_stop();
  }
  train::Trainer* trainer = nullptr;

 private:
  std::int64_t last_;
};

/// Runs that stopped after step 9, with checkpoints of 8 and 9, and what they would have become.
class InProcessSwap : public ::testing::Test {
 protected:
  static fs::path newest(const fs::path& run) {
    return run / "checkpoints/step-0000000009.safetensors";
  }
  static fs::path before(const fs::path& run) {
    return run / "checkpoints/step-0000000008.safetensors";
  }

  fs::path stopped_run(const char* name, std::uint64_t seed = 1, std::int64_t hidden = 6) {
    Stopper stopper(9);
    train::Trainer trainer(small_settings(folder_ / name, seed, hidden), small_splits(), &stopper);
    stopper.trainer = &trainer;
    EXPECT_FALSE(trainer.run().finished);
    return folder_ / name;
  }
  std::string whole_weights() {
    const fs::path weights = folder_ / "whole/final.safetensors";
    if (!fs::exists(weights)) {
      train::Trainer(small_settings(folder_ / "whole"), small_splits()).run();
    }
    return read_text(weights);
  }

  /// Resumes the run, which must pass over its newest checkpoint and end as if nothing was.
  void expect_previous(const fs::path& run, const std::string& reason) {
    Warnings warnings;
    train::Trainer(train::stored_settings(run), small_splits(), &warnings).run();
    ASSERT_EQ(warnings.all.size(), 1U) << reason;
    EXPECT_TRUE(contains(warnings.all[0], newest(run).string()));
    EXPECT_TRUE(contains(warnings.all[0], reason));
    ASSERT_TRUE(warnings.resumed);
    EXPECT_EQ(warnings.resumed->step, 8);
    EXPECT_EQ(warnings.resumed->damaged, 1);
    EXPECT_EQ(read_text(run / "final.safetensors"), whole_weights());
  }

  const TemporaryFolder folder_;
};

TEST_F(InProcessSwap, ACheckpointOfAnotherRunIsPassedOver) {
  const fs::path run = stopped_run("run");
  fs::copy_file(newest(stopped_run("other", 2)), newest(run), fs::copy_options::overwrite_existing);
  expect_previous(run, "of another run");
}

TEST_F(InProcessSwap, ACheckpointOfAnotherNetworkIsPassedOver) {
  const fs::path run = stopped_run("run");
  fs::copy_file(newest(stopped_run("other", 1, 8)), newest(run),
                fs::copy_options::overwrite_existing);
  expect_previous(run, "of another run");
}

TEST_F(InProcessSwap, WeightsAreNoCheckpoint) {
  const fs::path run = stopped_run("run");
  whole_weights();
  fs::copy_file(folder_ / "whole/final.safetensors", newest(run),
                fs::copy_options::overwrite_existing);
  expect_previous(run, "not a checkpoint");
}

TEST_F(InProcessSwap, WhatIsNoFileIsPassedOver) {
  const std::vector<std::function<void(const fs::path&)>> others{
      [](const fs::path& path) { fs::create_directory(path); },
      [](const fs::path& path) { fs::create_symlink("/dev/zero", path); },
      [](const fs::path& path) { fs::create_symlink(path, path); },
      [](const fs::path& path) { write_text(path, ""); },
      [](const fs::path& path) { write_text(path, "{}"); },
  };
  for (std::size_t i = 0; i < others.size(); ++i) {
    const fs::path run = stopped_run(fmt::format("run-{}", i).c_str());
    fs::remove(newest(run));
    others[i](newest(run));
    expect_previous(run, "taking the checkpoint before it");
  }
}

TEST_F(InProcessSwap, ExchangedCheckpointsAreTakenForWhatTheyHold) {
  const fs::path run = stopped_run("run");
  fs::rename(newest(run), run / "other");
  fs::rename(before(run), newest(run));
  fs::rename(run / "other", before(run));
  Warnings warnings;
  train::Trainer(train::stored_settings(run), small_splits(), &warnings).run();
  EXPECT_EQ(read_text(run / "final.safetensors"), whole_weights());
}

TEST_F(InProcessSwap, AllOfAnotherRunAreRefused) {
  const fs::path run = stopped_run("run");
  const fs::path other = stopped_run("other", 2);
  fs::remove_all(run / "checkpoints");
  fs::rename(other / "checkpoints", run / "checkpoints");
  Warnings warnings;
  try {
    train::Trainer(train::stored_settings(run), small_splits(), &warnings).run();
    FAIL() << "a checkpoint of another run was taken";
  } catch (const IoError& error) {
    EXPECT_TRUE(contains(error.what(), (run / "checkpoints").string()));
    EXPECT_TRUE(contains(error.what(), "no intact checkpoint"));
  }
  EXPECT_EQ(warnings.all.size(), 2U);
  EXPECT_FALSE(fs::exists(run / "final.safetensors"));
}

/// Everything that inference takes a network from.
TEST_F(InProcessSwap, LoadRunTakesIntactFilesOnly) {
  const fs::path run = stopped_run("run");
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  EXPECT_EQ(model::load_run(run, warn).file, run / "best.safetensors");
  fs::remove(run / "best.safetensors");
  EXPECT_EQ(model::load_run(run, warn).file, newest(run));
  EXPECT_TRUE(warnings.empty());
  write_text(newest(run), read_text(newest(run)).substr(0, 3000));
  EXPECT_EQ(model::load_run(run, warn).file, before(run));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_TRUE(contains(warnings[0], newest(run).string()));
  write_text(before(run), "");
  EXPECT_THROW(model::load_run(run, warn), IoError);
}

}  // namespace
}  // namespace evenkeel::testing
