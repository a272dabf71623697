// Files that were damaged, and runs that were killed.

#include "train/checkpoint.h"

#include <thread>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "train/runs.h"

namespace evenkeel::train {
namespace {

namespace fs = std::filesystem;
using testing::contains;
using testing::error_of;
using testing::read_text;
using testing::same_tensors;
using testing::TemporaryFolder;
using testing::tiny_settings;
using testing::tiny_splits;

Checkpoint small_checkpoint() {
  Checkpoint checkpoint;
  Tensor values = Tensor::zeros({3, 5});
  Random(1).fill_normal(values.span<float>(), 0, 1);
  checkpoint.network = {{"0.weight", values},
                        {"1.running_mean", Tensor::full({2}, 0.5, DType::f64)}};
  checkpoint.optimizer = {{"step", Tensor::full({1}, 3, DType::i64)}};
  checkpoint.progress.step = 12;
  checkpoint.progress.epoch_loss = 0.1;
  checkpoint.progress.history.push_back({.epoch = 1, .step = 10, .loss = 0.3, .validation = {}});
  checkpoint.progress.history.push_back(
      {.epoch = 2, .step = 12, .validation = Evaluation{0.25, 0.75, 80}});
  checkpoint.progress.evaluations.push_back({7, {0.5, 0.25, 100}});
  return checkpoint;
}

bool same_state(const nn::StateDict& a, const nn::StateDict& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a) {
    const auto it = std::ranges::find(b, name, &nn::StateDict::value_type::first);
    if (it == b.end() || it->second.shape() != tensor.shape() ||
        it->second.dtype() != tensor.dtype() ||
        std::memcmp(it->second.raw(), tensor.raw(), tensor.bytes()) != 0) {
      return false;
    }
  }
  return true;
}

bool same_checkpoint(const Checkpoint& a, const Checkpoint& b) {
  return same_state(a.network, b.network) && same_state(a.optimizer, b.optimizer) &&
         a.progress.step == b.progress.step && a.progress.epoch_loss == b.progress.epoch_loss &&
         a.progress.history.size() == b.progress.history.size();
}

TEST(Checkpoint, ComesBackAsItWasWritten) {
  const TemporaryFolder folder;
  const Checkpoint written = small_checkpoint();
  write_checkpoint(folder / "c.safetensors", written);
  const Checkpoint read = read_checkpoint(folder / "c.safetensors");
  EXPECT_TRUE(same_checkpoint(written, read));
  Progress::each(read.progress, [](const auto& value) { EXPECT_GE(value, 0); });
  EXPECT_FALSE(read.progress.history[0].validation.has_value());
  EXPECT_EQ(read.progress.history[1].validation->count, 80);
  EXPECT_EQ(read.progress.history[1].validation->accuracy, 0.75);
  EXPECT_EQ(read.progress.evaluations[0].step, 7);
  EXPECT_EQ(read.progress.evaluations[0].evaluation.accuracy, 0.25);
}

TEST(Checkpoint, CutAtAnyLengthIsRefused) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "c.safetensors", small_checkpoint());
  const std::string content = read_text(folder / "c.safetensors");
  const fs::path damaged = folder / "damaged.safetensors";
  for (std::size_t length = 0; length < content.size(); ++length) {
    std::ofstream(damaged, std::ios::binary) << content.substr(0, length);
    EXPECT_THROW(read_checkpoint(damaged), Error) << "at length " << length;
  }
}

TEST(Checkpoint, WithAFlippedBitIsRefusedOrStillTheSame) {
  const TemporaryFolder folder;
  const Checkpoint written = small_checkpoint();
  write_checkpoint(folder / "c.safetensors", written);
  const std::string content = read_text(folder / "c.safetensors");
  const fs::path damaged = folder / "damaged.safetensors";
  std::size_t refused = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    std::string flipped = content;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    std::ofstream(damaged, std::ios::binary) << flipped;
    try {
      // A blank of the header may become another one.
      EXPECT_TRUE(same_checkpoint(read_checkpoint(damaged), written)) << "at byte " << i;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, content.size() * 9 / 10);
}

TEST(Checkpoint, FilledWithZerosIsRefused) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "c.safetensors", small_checkpoint());
  const std::size_t size = read_text(folder / "c.safetensors").size();
  std::ofstream(folder / "c.safetensors", std::ios::binary) << std::string(size, '\0');
  EXPECT_THROW(read_checkpoint(folder / "c.safetensors"), IoError);
}

TEST(Checkpoint, OfAnotherRunDoesNotFit) {
  const TemporaryFolder folder;
  CheckpointFolder checkpoints(folder / "checkpoints", "this run");
  checkpoints.prepare();
  EXPECT_FALSE(checkpoints.read_newest([](const std::string&) {}).has_value());
  checkpoints.write(small_checkpoint());
  EXPECT_EQ(checkpoints.read_newest([](const std::string&) {})->checkpoint.progress.step, 12);
  CheckpointFolder other(folder / "checkpoints", "another run");
  std::string warning;
  EXPECT_THROW(other.read_newest([&](const std::string& text) { warning = text; }), IoError);
  EXPECT_TRUE(contains(warning, "is of another run"));
}

/// A child process that begins the run or goes on with it.
pid_t start_child(const Settings& settings) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    const bool begun = fs::exists(fs::path(settings.out) / "config.toml");
    Trainer(begun ? stored_settings(settings.out) : settings, tiny_splits()).run();
    ::_exit(0);
  } catch (...) {
    ::_exit(1);
  }
}

TEST(Killed, AtAnyMomentARunEndsWithTheSameBits) {
  const TemporaryFolder folder;
  Settings settings = tiny_settings(folder / "whole");
  settings.batch_size = 160;
  settings.epochs = 30;  // of two steps, with a checkpoint after each
  Trainer(settings, tiny_splits()).run();
  settings.out = (folder / "killed").string();
  Random random(9);
  for (int i = 0; i < 12; ++i) {
    const pid_t child = start_child(settings);
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(60'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "the child failed by itself";
  }
  if (!fs::exists(folder / "killed/config.toml")) Trainer(settings, tiny_splits()).run();
  Trainer(stored_settings(folder / "killed"), tiny_splits()).run();
  EXPECT_TRUE(
      same_tensors(folder / "whole/final.safetensors", folder / "killed/final.safetensors"));
}

}  // namespace
}  // namespace evenkeel::train
