// SIGINT and SIGTERM: the step ends, a checkpoint is written, the exit code is 128+n, and the run
// can be resumed to the same bits.

#include <csignal>

#include <fmt/format.h>

#include "faults/moment.h"
#include "faults/record.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// The step after which the run said that it was interrupted.
std::int64_t interrupted_step(const Outcome& outcome) {
  const std::string mark = "interrupted after step ";
  const std::size_t at = outcome.out.find(mark);
  return at == std::string::npos ? -1 : std::stoll(outcome.out.substr(at + mark.size()));
}

/// What an interrupted run leaves, and that it can be resumed.
void expect_interrupted(const TinyRun& run, const Outcome& outcome, int signal) {
  ASSERT_EQ(outcome.code, 128 + signal) << outcome.str();
  const std::int64_t step = interrupted_step(outcome);
  ASSERT_GE(step, 0) << outcome.str();
  EXPECT_TRUE(contains(outcome.out, "evenkeel train --out"));
  EXPECT_EQ(outcome.err, "");
  ASSERT_FALSE(run.steps().empty());
  EXPECT_EQ(run.steps()[0], step);
  EXPECT_TRUE(step == 0 || same_checkpoint(run, step));
  EXPECT_TRUE(temporaries_in(run.folder()).empty());
  const Outcome resumed = testing::run(run.resume());
  EXPECT_EQ(resumed.code, 0) << resumed.str();
  EXPECT_EQ(resumed_step(resumed), step);
  EXPECT_TRUE(ended_like_whole(run));
}

class Signal : public ::testing::TestWithParam<int> {};

TEST_P(Signal, AtARandomMomentEndsTheRunWithACheckpoint) {
  const TemporaryFolder folder;
  whole_run();
  const Lengths lengths(folder);
  Random random(static_cast<std::uint64_t>(GetParam()));
  int interrupted = 0;
  for (int i = 0; i < 200 && interrupted < 10 && !HasFailure(); ++i) {
    const TinyRun run(folder / fmt::format("run-{}", i), 5);
    Invocation invocation = run.begin();
    invocation.record = folder / fmt::format("record-{}", i);
    Process process(invocation);
    wait_for_any_moment(process, invocation, lengths, random);
    if (process.running()) process.send(GetParam());
    const Outcome outcome = process.wait();
    if (interrupted_step(outcome) >= 0) {
      expect_interrupted(run, outcome, GetParam());
      ++interrupted;
    } else {
      // It came before the run, which is then as good as killed, or after all was saved.
      const bool before = outcome.signal == GetParam() && outcome.out.empty();
      EXPECT_TRUE(before || same_results(run)) << outcome.str();
    }
  }
  EXPECT_EQ(interrupted, 10);
}

TEST_P(Signal, DuringASaveLetsItEnd) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run", 5);
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.checkpoint(10));
  ASSERT_TRUE(save);
  for (std::size_t i = save->first; i <= save->last; i += 4) {
    SCOPED_TRACE(fmt::format("in {} {}", calls[i].kind, calls[i].path.string()));
    Invocation invocation = run.begin();
    invocation.faults =
        fmt::format("signal:any:{}:{}", i + 1, GetParam() == SIGINT ? "INT" : "TERM");
    const Outcome outcome = testing::run(invocation);
    EXPECT_EQ(interrupted_step(outcome), 10);
    expect_interrupted(run, outcome, GetParam());
    fs::remove_all(run.folder());
  }
}

TEST_P(Signal, ASecondOneKillsAndTheRunCanBeResumed) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run", 5);
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.checkpoint(10));
  ASSERT_TRUE(save);
  const std::string word = GetParam() == SIGINT ? "INT" : "TERM";
  for (std::size_t i = save->first + 1; i <= save->last; i += 4) {
    SCOPED_TRACE(fmt::format("in {} {}", calls[i].kind, calls[i].path.string()));
    Invocation invocation = run.begin();
    invocation.faults =
        fmt::format("signal:any:{}:{},signal:any:{}:{}", save->first + 1, word, i + 1, word);
    const Outcome outcome = testing::run(invocation);
    EXPECT_EQ(outcome.signal, GetParam()) << outcome.str();
    const Outcome resumed = testing::run(run.resume());
    EXPECT_EQ(resumed.code, 0) << resumed.str();
    // 7 ends an epoch.
    EXPECT_TRUE(resumed_step(resumed) == 7 || resumed_step(resumed) == 10) << resumed.str();
    EXPECT_TRUE(ended_like_whole(run));
    fs::remove_all(run.folder());
  }
}

TEST_P(Signal, ThatIsIgnoredStaysIgnored) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.checkpoint(10));
  ASSERT_TRUE(save);
  Invocation invocation = run.begin();
  invocation.faults =
      fmt::format("signal:any:{}:{}", save->first + 1, GetParam() == SIGINT ? "INT" : "TERM");
  invocation.prepare = [signal = GetParam()] { ::signal(signal, SIG_IGN); };
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_TRUE(ended_like_whole(run));
}

/// While the last weights are written there is nothing left to interrupt.
TEST_P(Signal, AtTheEndLetsTheRunEnd) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.folder() / "final.safetensors");
  ASSERT_TRUE(save);
  Invocation invocation = run.begin();
  invocation.faults =
      fmt::format("signal:any:{}:{}", save->first + 3, GetParam() == SIGINT ? "INT" : "TERM");
  const Outcome outcome = testing::run(invocation);
  EXPECT_EQ(outcome.code, 0) << outcome.str();
  EXPECT_TRUE(ended_like_whole(run));
}

INSTANTIATE_TEST_SUITE_P(Signals, Signal, ::testing::Values(SIGINT, SIGTERM),
                         [](const auto& row) { return row.param == SIGINT ? "INT" : "TERM"; });

/// Closing the terminal is not an interrupt: it kills as SIGKILL does, unless nohup was asked for.
TEST(HangUp, KillsAndTheRunCanBeResumed) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run");
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.checkpoint(10));
  ASSERT_TRUE(save);
  Invocation invocation = run.begin();
  invocation.faults = fmt::format("signal:any:{}:HUP", save->first + 3);
  EXPECT_EQ(testing::run(invocation).signal, SIGHUP);
  EXPECT_EQ(resumed_step(testing::run(run.resume())), 9);
  EXPECT_TRUE(ended_like_whole(run));
  fs::remove_all(run.folder());
  invocation.prepare = [] { ::signal(SIGHUP, SIG_IGN); };
  EXPECT_EQ(testing::run(invocation).code, 0);
  EXPECT_TRUE(ended_like_whole(run));
}

}  // namespace
}  // namespace evenkeel::testing
