// A run that is killed is resumed to the same bits, wherever it was.

#include <csignal>
#include <cstdlib>

#include <fmt/format.h>

#include "faults/moment.h"
#include "faults/record.h"

namespace evenkeel::testing {
namespace {

namespace fs = std::filesystem;

/// Kills what `invocation` starts. False where it was through by then.
bool kill_sometime(const Invocation& invocation, const Lengths& lengths, Random& random) {
  Process process(invocation);
  wait_for_any_moment(process, invocation, lengths, random);
  if (process.running()) process.send(SIGKILL);
  const Outcome outcome = process.wait();
  EXPECT_TRUE(outcome.signal == SIGKILL || outcome.code == 0) << outcome.str();
  return outcome.signal == SIGKILL;
}

/// What became of the killed runs, for the report.
struct Tally {
  int kills = 0, before_a_checkpoint = 0, at_last = 0, at_next = 0, chained = 0;
};

/// Resumes after the kill: from the checkpoint last saved, or from one that was in place already
/// but not yet reported as saved.
void check_resume(const TinyRun& run, const std::vector<Call>& calls, const Outcome& outcome,
                  Tally& tally) {
  ASSERT_EQ(outcome.code, 0) << outcome.str();
  const std::optional<std::int64_t> saved = saved_step(calls);
  const std::optional<std::int64_t> found = resumed_step(outcome);
  if (!saved) {
    EXPECT_TRUE(!found || *found == 1) << outcome.str();
    ++tally.before_a_checkpoint;
  } else {
    ASSERT_TRUE(found) << "step " << *saved << " was saved\n" << outcome.str();
    EXPECT_TRUE(*found == *saved || *found == *saved + 1) << *found << " of " << *saved;
    ++(*found == *saved ? tally.at_last : tally.at_next);
  }
  EXPECT_TRUE(ended_like_whole(run));
}

/// Begins a run and kills it, up to three times in a row, each time resumed; then resumes it to
/// its end.
void kill_and_resume(const TemporaryFolder& folder, int index, const Lengths& lengths,
                     Random& random, Tally& tally) {
  const TinyRun run(folder / fmt::format("run-{}", index));
  std::vector<Call> calls;
  const int links = 1 + static_cast<int>(random.below(3));
  bool killed = true;
  for (int link = 0; link < links && killed; ++link) {
    Invocation invocation = run.go_on();
    invocation.record = folder / fmt::format("record-{}-{}", index, link);
    killed = kill_sometime(invocation, lengths, random);
    if (killed) ++tally.kills;
    if (killed && link > 0) ++tally.chained;
    const std::vector<Call> more = read_record(invocation.record);
    calls.insert(calls.end(), more.begin(), more.end());
    const std::optional<std::int64_t> saved = saved_step(calls);
    if (saved) {
      EXPECT_TRUE(same_checkpoint(run, *saved));
    }
  }
  check_resume(run, calls, testing::run(run.go_on()), tally);
  fs::remove_all(run.folder());
}

void kill_at_random(int kills, bool disk) {
  const TemporaryFolder folder(disk);
  whole_run();
  const Lengths lengths(folder);
  const char* const seed = std::getenv("EVENKEEL_FAULT_SEED");
  Random random(seed == nullptr ? 17 : std::strtoull(seed, nullptr, 10));
  Tally tally;
  int runs = 0;
  while (tally.kills < kills && runs < 20 * kills && !::testing::Test::HasFailure()) {
    SCOPED_TRACE(fmt::format("run {}", runs));
    kill_and_resume(folder, runs++, lengths, random, tally);
  }
  EXPECT_GE(tally.kills, kills);
  fmt::print(
      "{} kills in {} runs ({} of a resumed one): resumed {} times from the last checkpoint saved, "
      "{} times from the next, {} times there was none\n",
      tally.kills, runs, tally.chained, tally.at_last, tally.at_next, tally.before_a_checkpoint);
}

int kills_wanted(int standard) {
  const char* const wanted = std::getenv("EVENKEEL_FAULT_KILLS");
  return wanted == nullptr ? standard : std::atoi(wanted);
}

TEST(Killed, AtRandomMomentsARunEndsWithTheSameBits) { kill_at_random(kills_wanted(40), false); }

TEST(KilledLong, FiveHundredTimesOnTheDiskARunEndsWithTheSameBits) {
  kill_at_random(kills_wanted(500), true);
}

/// The calls of a run with four checkpoints, divided among several tests.
class KilledAtCall : public ::testing::TestWithParam<int> {
 public:
  static constexpr int kParts = 4;
};

TEST_P(KilledAtCall, ARunEndsWithTheSameBits) {
  const TemporaryFolder folder;
  const std::vector<Call> calls = calls_of(TinyRun(folder / "run", 7));
  ASSERT_GT(calls.size(), 100U);
  for (const Call& call : calls) {
    if (call.number % kParts != GetParam()) continue;
    const TinyRun run(folder / "run", 7);
    SCOPED_TRACE(fmt::format("before call {}, {} {}", call.number, call.kind, call.path.string()));
    Invocation invocation = run.begin();
    invocation.faults = fmt::format("kill:any:{}", call.number);
    ASSERT_EQ(testing::run(invocation).signal, SIGKILL);
    const Outcome resumed = testing::run(run.go_on());
    ASSERT_EQ(resumed.code, 0) << resumed.str();
    ASSERT_TRUE(ended_like_whole(run));
    fs::remove_all(run.folder());
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, KilledAtCall, ::testing::Range(0, KilledAtCall::kParts));

/// Kills a run with checkpoints at steps 14 and 28 in the middle of the chosen write, and resumes
/// it.
void kill_in_write(const TinyRun& run, const Call& call) {
  SCOPED_TRACE(fmt::format("write {} to {}", call.number_of_kind, call.path.string()));
  Invocation invocation = run.begin();
  invocation.faults = fmt::format("cut:write:{}", call.number_of_kind);
  ASSERT_EQ(testing::run(invocation).signal, SIGKILL);
  const Outcome resumed = testing::run(run.go_on());
  ASSERT_EQ(resumed.code, 0) << resumed.str();
  ASSERT_TRUE(ended_like_whole(run));
  fs::remove_all(run.folder());
}

TEST(Killed, InTheMiddleOfAWriteToACheckpointARunEndsWithTheSameBits) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run", 14);
  const std::vector<Call> calls = calls_of(run);
  const std::optional<Save> save = save_of(calls, run.checkpoint(14));
  ASSERT_TRUE(save);
  for (std::size_t i = save->first; i <= save->last; ++i) {
    if (calls[i].kind == "write") kill_in_write(run, calls[i]);
  }
}

TEST(Killed, InTheMiddleOfAWriteToALogARunEndsWithTheSameBits) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run", 14);
  for (const Call& call : calls_of(run)) {
    const bool log =
        call.path.filename() == "metrics.jsonl" || call.path.parent_path().filename() == "events";
    if (call.kind == "write" && log) kill_in_write(run, call);
  }
}

/// A run of another seed that lies where a run shall go, ended or not.
void put_other_run(const TinyRun& run) {
  Invocation other = run.begin();
  other.arguments.insert(other.arguments.end(), {"--seed", "2"});
  const Outcome outcome = testing::run(other);
  ASSERT_EQ(outcome.code, 0) << outcome.str();
}

Invocation replacing(const TinyRun& run) {
  Invocation invocation = run.begin();
  invocation.arguments.push_back("--replace");
  return invocation;
}

TEST(Killed, WhileItReplacesAnotherRunNothingOfThatOneIsTaken) {
  const TemporaryFolder folder;
  const TinyRun run(folder / "run", 7);
  put_other_run(run);
  Invocation recorded = replacing(run);
  recorded.record = folder / "record";
  ASSERT_EQ(testing::run(recorded).code, 0);
  const std::vector<Call> calls = read_record(recorded.record);
  const std::optional<Save> config = save_of(calls, run.folder() / "config.toml");
  const std::optional<Save> first = save_of(calls, run.checkpoint(7));
  ASSERT_TRUE(config && first);
  for (std::size_t i = 0; i <= first->last; ++i) {
    // Between, the same as what the kills of a run that replaces nothing tried.
    if (i > config->last + 3 && i + 6 < first->last) continue;
    SCOPED_TRACE(
        fmt::format("before call {}, {} {}", i + 1, calls[i].kind, calls[i].path.string()));
    fs::remove_all(run.folder());
    put_other_run(run);
    Invocation invocation = replacing(run);
    invocation.faults = fmt::format("kill:any:{}", i + 1);
    ASSERT_EQ(testing::run(invocation).signal, SIGKILL);
    const std::string text = read_text(run.folder() / "config.toml");
    const bool old = text.find("seed = 2") != std::string::npos;
    if (text.empty()) {
      // Begun once more, and killed before its first checkpoint.
      Invocation again = run.begin();
      again.faults = "kill:rename:2";
      ASSERT_EQ(testing::run(again).signal, SIGKILL);
    }
    const Outcome outcome = testing::run(old ? replacing(run) : run.go_on());
    ASSERT_EQ(outcome.code, 0) << outcome.str();
    ASSERT_TRUE(ended_like_whole(run));
  }
}

}  // namespace
}  // namespace evenkeel::testing
