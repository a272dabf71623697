// Saving that fails: said with path and cause, never taken for done, and nothing lost by it.

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ostream>

#include <fmt/format.h>

#include "faults/record.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// A call of the save of step 10 that goes wrong.
struct Failure {
  const char* name;
  const char* kind;
  int last;  ///< 1: the last call of that kind in the save, 0: the first
  const char* error;
  int number;
};

void PrintTo(const Failure& failure, std::ostream* out) { *out << failure.name; }

std::string cause_of(const Failure& failure) { return std::strerror(failure.number); }

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

class SaveFails : public ::testing::TestWithParam<Failure> {
 protected:
  static constexpr std::int64_t kStep = 10;

  SaveFails() : run_(folder_ / "run"), calls_(calls_of(run_)) {}

  /// Which of the calls of its kind in a save goes wrong, from 1.
  static std::int64_t offset(const std::vector<Call>& calls) {
    const auto rename = std::ranges::find_if(calls, [](const Call& call) {
      return call.kind == "rename" && call.other.parent_path().filename() == "checkpoints";
    });
    const std::optional<Save> save = save_of(calls, rename->other);
    std::int64_t number = 0;
    for (std::size_t i = save->first; i <= save->last; ++i) {
      if (calls[i].kind != GetParam().kind) continue;
      ++number;
      if (GetParam().last == 0) break;
    }
    return number;
  }
  static std::string fault(std::int64_t call, const char* more = "") {
    return fmt::format("fail:{}:{}{}:{}", GetParam().kind, call, more, GetParam().error);
  }
  /// In the save of kStep.
  std::string fault(const char* more = "") const {
    const std::optional<Save> save = save_of(calls_, run_.checkpoint(kStep));
    std::int64_t before = 0;
    for (std::size_t i = 0; i < save->first; ++i) before += calls_[i].kind == GetParam().kind;
    return fault(before + offset(calls_), more);
  }
  /// The folder was synchronized last; the file is in its place by then.
  bool in_place() const { return std::string(GetParam().kind) == "fsyncdir"; }

  void expect_warning(const std::string& text) const {
    EXPECT_TRUE(contains(text, fmt::format("step {}:", kStep)));
    EXPECT_TRUE(contains(text, run_.checkpoint(kStep).string()));
    EXPECT_TRUE(contains(text, cause_of(GetParam())));
    EXPECT_TRUE(contains(text, fmt::format("of step {}", kStep - 1)));
  }

  const TemporaryFolder folder_;
  const TinyRun run_;
  const std::vector<Call> calls_;
};

TEST_P(SaveFails, OnceIsAWarningAndTheRunGoesOn) {
  Invocation invocation = run_.begin();
  invocation.faults = fault();
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_EQ(count(outcome.err, "warning: "), 1) << outcome.err;
  expect_warning(outcome.err);
  EXPECT_TRUE(ended_like_whole(run_));
}

TEST_P(SaveFails, TheCheckpointsBeforeAreIntact) {
  Invocation invocation = run_.begin();
  // Killed where step 11 would open its file: what lies there is what the failed save left.
  const std::optional<Save> next = save_of(calls_, run_.checkpoint(kStep + 1));
  const std::int64_t open = calls_[next->first].number_of_kind;
  invocation.faults = fmt::format("{},kill:open:{}", fault(), open);
  const Outcome killed = testing::run(invocation);
  ASSERT_EQ(killed.signal, SIGKILL) << killed.str();
  expect_warning(killed.err);
  EXPECT_TRUE(same_checkpoint(run_, kStep - 1));
  EXPECT_TRUE(same_checkpoint(run_, kStep - 2));
  EXPECT_EQ(fs::exists(run_.checkpoint(kStep)), in_place());
  EXPECT_TRUE(temporaries_in(run_.folder()).empty());
  const Outcome resumed = testing::run(run_.resume());
  EXPECT_EQ(resumed_step(resumed), in_place() ? kStep : kStep - 1) << resumed.str();
  EXPECT_TRUE(ended_like_whole(run_));
}

TEST_P(SaveFails, ForGoodEndsInAnErrorAndCanBeResumed) {
  Invocation invocation = run_.begin();
  invocation.faults = fault("+");
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  EXPECT_EQ(count(outcome.err, "\nevenkeel: "), 1) << outcome.err;
  const std::string error = outcome.err.substr(outcome.err.rfind("evenkeel: "));
  EXPECT_TRUE(contains(error, (run_.folder() / "final.safetensors").string()));
  EXPECT_TRUE(contains(error, cause_of(GetParam())));
  EXPECT_TRUE(contains(error, fmt::format("of step {}", kStep - 1)));
  EXPECT_TRUE(temporaries_in(run_.folder()).empty());
  EXPECT_TRUE(same_checkpoint(run_, kStep - 1));
  const Outcome resumed = testing::run(run_.resume());
  EXPECT_EQ(resumed.code, 0) << resumed.str();
  EXPECT_TRUE(ended_like_whole(run_));
}

TEST_P(SaveFails, OfAnInterruptedRunIsAnError) {
  // Checkpoints at 7 and 14; the signal comes while the evaluation after step 10 is logged, and
  // the next call of that kind is one of saving step 10.
  const TinyRun run(folder_ / "stopped", 7);
  const std::vector<Call> calls = calls_of(run);
  int lines = 0;
  std::int64_t writes = 0, before = 0;
  for (const Call& call : calls) {
    if (call.kind == GetParam().kind) before = call.number_of_kind;
    if (call.kind != "write") continue;
    writes = call.number_of_kind;
    lines += call.path.filename() == "metrics.jsonl" ? 1 : 0;
    if (lines == 4) break;  // run, evaluation, epoch, evaluation
  }
  Invocation invocation = run.begin();
  invocation.faults =
      fmt::format("signal:write:{}:TERM,{}", writes, fault(before + offset(calls), "+"));
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  EXPECT_TRUE(contains(outcome.err, "evenkeel: [train] interrupted after step 10"));
  EXPECT_TRUE(contains(outcome.err, run.checkpoint(10).string()));
  EXPECT_TRUE(contains(outcome.err, cause_of(GetParam())));
  EXPECT_FALSE(contains(outcome.out, "interrupted"));
  EXPECT_TRUE(same_checkpoint(run, 7));
  const Outcome resumed = testing::run(run.resume());
  EXPECT_EQ(resumed_step(resumed), in_place() ? 10 : 7) << resumed.str();
  EXPECT_TRUE(ended_like_whole(run));
}

INSTANTIATE_TEST_SUITE_P(
    Calls, SaveFails,
    ::testing::Values(Failure{"OpenEmfile", "open", 0, "EMFILE", EMFILE},
                      Failure{"OpenErofs", "open", 0, "EROFS", EROFS},
                      Failure{"OpenEacces", "open", 0, "EACCES", EACCES},
                      Failure{"FirstWriteEnospc", "write", 0, "ENOSPC", ENOSPC},
                      Failure{"LastWriteEnospc", "write", 1, "ENOSPC", ENOSPC},
                      Failure{"WriteEio", "write", 1, "EIO", EIO},
                      Failure{"WriteEdquot", "write", 1, "EDQUOT", EDQUOT},
                      Failure{"WriteEfbig", "write", 1, "EFBIG", EFBIG},
                      Failure{"FsyncEio", "fsync", 0, "EIO", EIO},
                      Failure{"FsyncEnospc", "fsync", 0, "ENOSPC", ENOSPC},
                      Failure{"RenameEio", "rename", 0, "EIO", EIO},
                      Failure{"RenameEacces", "rename", 0, "EACCES", EACCES},
                      Failure{"FsyncOfTheFolderEio", "fsyncdir", 0, "EIO", EIO}),
    [](const auto& row) { return std::string(row.param.name); });

class Harmless : public ::testing::TestWithParam<const char*> {};

/// What systems do and programs must bear.
TEST_P(Harmless, ARunDoesNotNotice) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  invocation.faults = GetParam();
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(ended_like_whole(run));
}

INSTANTIATE_TEST_SUITE_P(Faults, Harmless,
                         ::testing::Values("short:write:*", "fail:write:40:EINTR",
                                           "fail:open:9:EINTR", "fail:close:*:EINTR",
                                           "fail:close:3+:EIO", "fail:fsyncdir:*:EINVAL"),
                         [](const auto& row) {
                           std::string name;
                           for (const char* c = row.param; *c != '\0'; ++c) {
                             if (std::isalnum(static_cast<unsigned char>(*c)) != 0) name += *c;
                             if (*c == '*') name += "All";
                           }
                           return name;
                         });

class Probe : public ::testing::TestWithParam<const char*> {};

/// The folder is tried before anything is trained.
TEST_P(Probe, ARunThatCannotBeSavedDoesNotBegin) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  invocation.faults = GetParam();
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("evenkeel: [write] cannot ", 0), 0U) << outcome.err;
  EXPECT_EQ(count(outcome.err, "\n"), 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, run.folder().string()));
  EXPECT_FALSE(fs::exists(run.folder() / "config.toml"));
  EXPECT_TRUE(temporaries_in(run.folder()).empty());
  EXPECT_EQ(testing::run(run.begin()).code, 0) << "the same command, when the fault is over";
  EXPECT_TRUE(ended_like_whole(run));
}

INSTANTIATE_TEST_SUITE_P(Calls, Probe,
                         ::testing::Values("fail:mkdir:1:EACCES", "fail:mkdir:2:EROFS",
                                           "fail:fsyncdir:1:EIO", "fail:open:1:EROFS",
                                           "fail:open:2:EACCES", "fail:open:3:EMFILE",
                                           "fail:write:1:ENOSPC", "fail:write:2:EDQUOT",
                                           "fail:write:3:ENOSPC", "fail:fsync:1:EIO",
                                           "fail:rename:1:EIO"),
                         [](const auto& row) {
                           std::string name;
                           for (const char* c = row.param; *c != '\0'; ++c) {
                             if (std::isalnum(static_cast<unsigned char>(*c)) != 0) name += *c;
                           }
                           return name;
                         });

TEST(ProbeOnResume, ARunThatCannotBeSavedDoesNotGoOn) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  invocation.faults = "kill:rename:8";
  ASSERT_EQ(testing::run(invocation).signal, SIGKILL);
  for (const char* fault : {"fail:open:1:EROFS", "fail:write:1:ENOSPC", "fail:open:2:EACCES"}) {
    Invocation resume = run.resume();
    resume.faults = fault;
    const Outcome outcome = testing::run(resume);
    EXPECT_EQ(outcome.code, 1) << outcome.str();
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(contains(outcome.err, run.folder().string()));
  }
  EXPECT_EQ(testing::run(run.resume()).code, 0);
  EXPECT_TRUE(ended_like_whole(run));
}

/// Of a run that is through: its weights are there, but a later --resume would find less.
TEST(LastCheckpoint, ThatIsNotSavedIsAnErrorAlthoughTheWeightsAre) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> last = save_of(calls, run.checkpoint(TinyRun::kSteps));
  ASSERT_TRUE(last);
  Invocation invocation = run.begin();
  invocation.faults = fmt::format("fail:open:{}:ENOSPC", calls[last->first].number_of_kind);
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 1) << outcome.str();
  EXPECT_TRUE(contains(outcome.err, run.checkpoint(TinyRun::kSteps).string()));
  EXPECT_TRUE(contains(outcome.err, "No space left on device"));
  EXPECT_TRUE(same_results(run));
  EXPECT_EQ(testing::run(run.resume()).code, 0);
  EXPECT_TRUE(ended_like_whole(run));
}

TEST(BestWeights, ThatAreNotSavedAreAWarning) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.folder() / "best.safetensors");
  ASSERT_TRUE(save);
  Invocation invocation = run.begin();
  invocation.faults = fmt::format("fail:open:{}:EIO", calls[save->first].number_of_kind);
  const Outcome outcome = testing::run(invocation);
  EXPECT_TRUE(contains(outcome.err, (run.folder() / "best.safetensors").string()));
  EXPECT_TRUE(contains(outcome.err, "Input/output error"));
  EXPECT_TRUE(temporaries_in(run.folder()).empty());
  EXPECT_TRUE(same_checkpoint(run, TinyRun::kSteps));
}

class LogFails : public ::testing::TestWithParam<const char*> {};

TEST_P(LogFails, IsSaidOnceAndTrainingGoesOn) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  Invocation invocation = run.begin();
  invocation.watched = run.folder() / GetParam();
  invocation.faults = "fail:write:2+:ENOSPC";
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_EQ(count(outcome.err, "warning: "), 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, (run.folder() / GetParam()).string()));
  EXPECT_TRUE(contains(outcome.err, "No space left on device"));
  EXPECT_TRUE(same_results(run));
  EXPECT_TRUE(same_checkpoint(run, TinyRun::kSteps));
}

INSTANTIATE_TEST_SUITE_P(Logs, LogFails, ::testing::Values("metrics.jsonl", "events"),
                         [](const auto& row) {
                           return std::string(row.param).substr(0, std::strcspn(row.param, "."));
                         });

}  // namespace
}  // namespace evenkeel::testing
