// Nobody is timed whose results are wrong, and everybody's are looked at.

#include <bench/copy.h>
#include <bench/measurement.h>
#include <bench/onednn.h>
#include <bench/own.h>
#include <gtest/gtest.h>

#include <evenkeel/core/error.h>

namespace evenkeel::bench {
namespace {

const ProblemSize kSize{.n = 3, .c = 17, .h = 5, .w = 4};
constexpr RunnerOptions kShort{.rounds = 1, .turn = 0.0001, .stretch = 0.0001, .pause = 0};

std::vector<Work> all_works(Family family) {
  std::vector<Work> works;
  for (const Operation operation :
       {Operation::forward, Operation::backward, Operation::inference}) {
    const Work plain{.family = family, .operation = operation, .threads = 1};
    works.push_back(plain);
    if (family != Family::batch_norm) continue;
    works.push_back(plain);
    works.back().relu = true;
    works.push_back(works.back());
    works.back().add = true;
  }
  return works;
}

TEST(Verify, OwnKernelsAndOnednnAgreeWithTheOracle) {
  const Problem odd(kSize);
  // oneDNN 2.6's sum is wrong where blocks of 16 channels are padded, and would be refused.
  const Problem blocks({.n = 3, .c = 32, .h = 5, .w = 4});
  for (const Work& work : all_works(Family::batch_norm)) {
    SCOPED_TRACE(work.name());
    const Problem& problem = work.add ? blocks : odd;
    const Measurement m = measure("", problem, work, {own_candidates, onednn_candidates}, kShort);
    EXPECT_TRUE(m.refused.empty()) << m.refused.front();
    EXPECT_EQ(m.entries.size(), 5U);
    EXPECT_GT(m.copy.timing.min, 0);
    for (const Entry& entry : m.entries) EXPECT_GT(entry.timing.min, 0) << entry.candidate.name();
  }
}

TEST(Verify, RowFamiliesAgreeWithTheOracle) {
  const Problem rows({.n = 37, .c = 50});
  for (const Work& work : all_works(Family::layer_norm)) {
    SCOPED_TRACE(work.name());
    const Measurement m = measure("", rows, work, {own_candidates, onednn_candidates}, kShort);
    EXPECT_TRUE(m.refused.empty()) << m.refused.front();
    EXPECT_EQ(m.entries.size(), 2U);
  }
  const Problem groups({.n = 3, .c = 12, .h = 5, .w = 4, .groups = 4});
  const Problem instances({.n = 3, .c = 12, .h = 5, .w = 4, .groups = 12});
  for (const Work& work : all_works(Family::group_norm)) {
    SCOPED_TRACE(work.name());
    EXPECT_GE(measure("", groups, work, {own_candidates}, kShort).entries.size(), 2U);
    EXPECT_GE(measure("", instances, work, {own_candidates}, kShort).entries.size(), 2U);
  }
}

/// Each output in turn, moved by a little, is found.
TEST(Verify, EveryWrongOutputIsFound) {
  const Problem problem(kSize);
  Work work{.operation = Operation::backward, .relu = true, .add = true};
  const Expected backward = problem.expected(work);
  const Candidate candidate = own_candidates(problem, work).front();
  const Actual right = candidate.read(backward);
  EXPECT_LE(verify(candidate, backward, right), kOwnTolerance);
  for (auto const field :
       {&Actual::output, &Actual::sum_gradient, &Actual::dgamma, &Actual::dbeta}) {
    Actual wrong = right;
    ASSERT_FALSE((wrong.*field).empty());
    (wrong.*field).back() += 0.01 * (1 + std::abs((wrong.*field).back()));
    EXPECT_THROW(verify(candidate, backward, wrong), Error);
    (wrong.*field).back() = std::nan("");
    EXPECT_THROW(verify(candidate, backward, wrong), Error);
    (wrong.*field).pop_back();
    EXPECT_THROW(verify(candidate, backward, wrong), Error);
  }
  work.operation = Operation::forward;
  const Expected forward = problem.expected(work);
  for (auto const field : {&Actual::mean, &Actual::var}) {
    Actual wrong = own_candidates(problem, work).front().read(forward);
    ASSERT_FALSE((wrong.*field).empty());
    (wrong.*field).front() += 0.01;
    EXPECT_THROW(verify(candidate, forward, wrong), Error);
  }
}

TEST(Verify, APeerWithWrongResultsIsNamedAndNotTimed) {
  const Problem problem(kSize);
  const Work work{.threads = 1};
  const Provider liar = [](const Problem&, const Work&) {
    Candidate candidate;
    candidate.who = "liar";
    candidate.seconds = [](std::int64_t, int) -> std::vector<double> {
      ADD_FAILURE() << "was timed";
      return {1};
    };
    candidate.read = [](const Expected& expected) {
      Actual actual;
      actual.output.assign(expected.places.size(), 0.0);
      return actual;
    };
    return std::vector{candidate};
  };
  const Measurement m = measure("", problem, work, {own_candidates, liar}, kShort);
  ASSERT_EQ(m.refused.size(), 1U);
  EXPECT_NE(m.refused[0].find("liar"), std::string::npos);
  EXPECT_EQ(m.best_peer(Layout::channels_first), nullptr);
  EXPECT_EQ(m.ratio(Layout::channels_first), 0);
}

TEST(Verify, RatioAndPartOfTheCopyAreOfOneLayout) {
  Measurement m;
  const auto add = [&](const char* who, Layout layout, double seconds) {
    Entry entry;
    entry.candidate.who = who;
    entry.candidate.layout = layout;
    entry.timing.min = seconds;
    m.entries.push_back(entry);
  };
  add("evenkeel", Layout::channels_first, 2);
  add("evenkeel", Layout::channels_last, 4);
  add("slow", Layout::channels_first, 8);
  add("quick", Layout::channels_first, 3);
  add("other", Layout::channels_last, 2);
  m.copy.timing.min = 1;
  EXPECT_DOUBLE_EQ(m.ratio(Layout::channels_first), 1.5);
  EXPECT_DOUBLE_EQ(m.ratio(Layout::channels_last), 0.5);
  EXPECT_DOUBLE_EQ(m.part_of_copy(Layout::channels_first), 0.5);  // 2 tensors, as the copy's
  m.work.operation = Operation::backward;
  EXPECT_DOUBLE_EQ(m.part_of_copy(Layout::channels_first), 0.75);  // 3 tensors
  m.work.add = true;
  EXPECT_DOUBLE_EQ(m.part_of_copy(Layout::channels_last), 0.5);  // 4 tensors
}

TEST(Copy, EveryKindCopiesEveryByte) {
  for (const std::int64_t values : {1, 15, 16, 33'000, 100'001}) {
    const Tensor from = Tensor::full({values}, 3);
    Tensor to = Tensor::zeros({values});
    for (const Candidate& candidate : copy_candidates(from, to, 2)) {
      to.fill(0);
      candidate.seconds(1, 1);
      for (const float value : to.span<float>()) ASSERT_EQ(value, 3) << candidate.name();
    }
  }
}

}  // namespace
}  // namespace evenkeel::bench
