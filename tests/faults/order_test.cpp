// Saving in an order that survives a loss of power: temporary file in the same folder → write →
// fsync → rename → fsync of the folder → the old one goes.

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "faults/power_loss.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

class Order : public ::testing::Test {
 protected:
  /// Of a run with a checkpoint every step, the folder that it lies in included.
  static const std::vector<Call>& calls() {
    static const std::vector<Call> all = [] {
      const TinyRun run(root() / "above" / "run");
      Invocation invocation = run.begin();
      invocation.watched = root();
      invocation.record = place() / "record";
      const Outcome outcome = testing::run(invocation);
      EXPECT_EQ(outcome.code, 0) << outcome.str();
      return read_record(invocation.record);
    }();
    return all;
  }
  static const TemporaryFolder& place() {
    static const TemporaryFolder folder;
    return folder;
  }
  static fs::path root() { return place().path(); }

  /// The calls without those of which `drop` holds.
  static std::vector<Call> without(const std::function<bool(const Call&)>& drop) {
    std::vector<Call> kept = calls();
    std::erase_if(kept, drop);
    EXPECT_LT(kept.size(), calls().size());
    return kept;
  }
};

/// What happened to the file that was renamed, in order, and what else in its folder until the
/// folder was synchronized.
std::string story_of(const std::vector<Call>& calls, const Call& rename) {
  std::string story;
  const auto add = [&](const std::string& word) {
    if (story.empty() || !story.ends_with(word)) story += (story.empty() ? "" : " ") + word;
  };
  for (const Call& call : calls) {
    const bool before = call.number <= rename.number;
    const bool same_folder = call.path.parent_path() == rename.path.parent_path();
    if (before && call.path == rename.path) add(call.kind);
    if (!before && call.kind == "fsyncdir" && call.path == rename.path.parent_path()) {
      add(call.kind);
      break;
    }
    if (!before && same_folder) add(call.kind);
  }
  return story;
}

TEST_F(Order, EverySaveIsOpenWriteSyncRenameSyncOfTheFolder) {
  int saves = 0;
  for (const Call& call : calls()) {
    if (call.kind != "rename") continue;
    ++saves;
    EXPECT_EQ(call.path.parent_path(), call.other.parent_path());
    EXPECT_EQ(story_of(calls(), call), "open write fsync rename close fsyncdir")
        << call.other.string();
  }
  EXPECT_GE(saves, TinyRun::kSteps + 3);  // and config, best and final weights
}

TEST_F(Order, NothingUnderItsFinalNameIsEverWrittenTo) {
  for (const Call& call : calls()) {
    if (call.kind != "write" && call.kind != "open" && call.kind != "truncate") continue;
    EXPECT_NE(call.path.extension(), ".safetensors");
    EXPECT_NE(call.path.extension(), ".toml");
  }
}

TEST_F(Order, AnOldCheckpointGoesOnlyWhenTwoNewerOnesAreOnTheDisk) {
  std::int64_t renamed = 0, saved = 0;
  int removed = 0;
  for (const Call& call : calls()) {
    const std::string to = call.other.filename().string();
    const std::string name = call.path.filename().string();
    if (call.kind == "rename" && to.rfind("step-", 0) == 0) renamed = std::stoll(to.substr(5));
    if (call.kind == "fsyncdir" && call.path.filename() == "checkpoints") saved = renamed;
    if (call.kind == "unlink" && name.rfind("step-", 0) == 0) {
      EXPECT_LE(std::stoll(name.substr(5)), saved - 2);
      ++removed;
    }
  }
  EXPECT_EQ(removed, TinyRun::kSteps - 2);
}

TEST_F(Order, APowerLossAfterAnyCallLeavesTheSavedCheckpoint) {
  EXPECT_EQ(loss_after_any_call(calls(), root()), "");
}

TEST_F(Order, TheModelNoticesAMissingSyncOfAFile) {
  const auto calls = without([](const Call& call) {
    return call.kind == "fsync" && call.path.parent_path().filename() == "checkpoints";
  });
  EXPECT_TRUE(contains(loss_after_any_call(calls, root()), "may hold anything"));
}

TEST_F(Order, TheModelNoticesAFolderWhoseNameIsNotOnTheDisk) {
  const auto calls = without(
      [](const Call& call) { return call.kind == "fsyncdir" && call.path.filename() == "run"; });
  EXPECT_TRUE(contains(loss_after_any_call(calls, root()), "may be gone"));
}

TEST_F(Order, TheModelNoticesARemovalOfTheSavedCheckpoint) {
  const fs::path first = root() / "above/run/checkpoints/step-0000000001.safetensors";
  const std::optional<Save> save = save_of(calls(), first);
  ASSERT_TRUE(save);
  std::vector<Call> changed = calls();
  Call removal;
  removal.kind = "unlink";
  removal.path = first;
  changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(save->last) + 1, removal);
  EXPECT_TRUE(contains(loss_after_any_call(changed, root()), "may be gone"));
}

}  // namespace
}  // namespace evenkeel::testing
