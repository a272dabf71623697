// Candidates take turns, and the figures are theirs.

#include <algorithm>
#include <memory>

#include <bench/runner.h>
#include <gtest/gtest.h>

namespace evenkeel::bench {
namespace {

constexpr RunnerOptions kOptions{.rounds = 6, .turn = 0.01, .stretch = 0.0003, .pause = 0};

/// A candidate that says how long it took instead of taking it.
struct Fake {
  std::string who;
  double seconds;
  std::vector<std::string>* log;
  Layout layout = Layout::channels_first;

  Candidate candidate() const {
    Candidate result;
    result.who = who;
    result.layout = layout;
    result.seconds = [*this](std::int64_t, int repeats) {
      log->push_back(who);
      return std::vector<double>(static_cast<std::size_t>(repeats), seconds);
    };
    return result;
  }
};

TEST(Runner, ReportsEachCandidatesOwnTime) {
  std::vector<std::string> log;
  const std::vector<Candidate> candidates{Fake{"a", 0.002, &log}.candidate(),
                                          Fake{"b", 0.003, &log}.candidate()};
  const std::vector<Timing> timings = run_in_turns(candidates, kOptions);
  ASSERT_EQ(timings.size(), 2U);
  EXPECT_DOUBLE_EQ(timings[0].min, 0.002);
  EXPECT_DOUBLE_EQ(timings[1].median, 0.003);
  EXPECT_EQ(timings[0].rounds, kOptions.rounds);
  EXPECT_EQ(timings[1].rounds, kOptions.rounds);
}

TEST(Runner, MinimumAndMedianAreOfAllRepeats) {
  Candidate candidate;
  auto call = std::make_shared<int>(0);
  candidate.seconds = [call](std::int64_t, int repeats) {
    std::vector<double> seconds(static_cast<std::size_t>(repeats));
    for (double& value : seconds) value = 0.01 + 0.001 * (++*call % 5);
    return seconds;
  };
  const Timing timing = run_in_turns({&candidate, 1}, {.rounds = 20, .turn = 0.05, .pause = 0})[0];
  EXPECT_DOUBLE_EQ(timing.min, 0.010);
  EXPECT_DOUBLE_EQ(timing.median, 0.012);
}

TEST(Runner, ShortCallsAreTimedManyInARow) {
  Candidate candidate;
  auto most = std::make_shared<std::int64_t>(0);
  candidate.seconds = [most](std::int64_t calls, int repeats) {
    *most = std::max(*most, calls);
    return std::vector<double>(static_cast<std::size_t>(repeats), 1e-6);
  };
  run_in_turns({&candidate, 1}, kOptions);
  EXPECT_GE(*most, 300);  // a stretch of 0.3 ms
}

TEST(Runner, EveryoneBeginsSomeRound) {
  std::vector<std::string> log;
  std::vector<Candidate> candidates;
  for (const char* who : {"a", "b", "c"}) {
    candidates.push_back(Fake{who, 1.0, &log}.candidate());  // long: a turn is one call
  }
  run_in_turns(candidates, {.rounds = 3, .pause = 0, .give_up = 0});
  const std::vector<std::string> turns(log.end() - 9, log.end());
  const std::vector<std::string> expected{"a", "b", "c", "b", "c", "a", "c", "a", "b"};
  EXPECT_EQ(turns, expected);
}

TEST(Runner, TheSlowSitOutWithinTheirLayoutAlone) {
  std::vector<std::string> log;
  const std::vector<Candidate> candidates{
      Fake{"fast", 0.01, &log}.candidate(), Fake{"slow", 0.1, &log}.candidate(),
      Fake{"other layout", 0.1, &log, Layout::channels_last}.candidate()};
  const auto timings = run_in_turns(candidates, {.rounds = 9, .pause = 0, .give_up = 4});
  EXPECT_EQ(timings[0].rounds, 9);
  EXPECT_LT(timings[1].rounds, 9);
  EXPECT_GE(timings[1].rounds, 3);
  EXPECT_EQ(timings[2].rounds, 9);
}

}  // namespace
}  // namespace evenkeel::bench
