// Grids, and many runs side by side.
#include <atomic>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/train/sweep.h>

namespace evenkeel::train {
namespace {

TEST(Grid, GoesThroughItsLastAxisFirst) {
  Grid grid;
  grid.axis("rate", {0.1, 0.2}).axis("batch", {8, 16, 32});
  EXPECT_EQ(grid.size(), 6);
  using Point = std::vector<std::pair<std::string, double>>;
  EXPECT_EQ(grid.at(0), (Point{{"rate", 0.1}, {"batch", 8}}));
  EXPECT_EQ(grid.at(4), (Point{{"rate", 0.2}, {"batch", 16}}));
  EXPECT_THROW((void)grid.at(6), UsageError);
  EXPECT_THROW((void)grid.at(-1), UsageError);
  EXPECT_THROW(grid.axis("rate", {1}), UsageError);
  EXPECT_THROW(grid.axis("depth", {}), UsageError);
}

TEST(Sweep, CallsEachOnceWhateverTheNumberOfJobs) {
  for (const int jobs : {1, 2, 5}) {
    std::vector<std::atomic<int>> calls(17);
    sweep(17, jobs, [&](std::int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  sweep(0, 3, [](std::int64_t) { FAIL(); });
  EXPECT_THROW(sweep(1, 0, [](std::int64_t) {}), UsageError);
}

TEST(Sweep, SharesTheProcessorsOutAndGivesThemBack) {
  const int before = max_threads();
  set_max_threads(4);
  std::atomic<int> seen{0};
  sweep(2, 2, [&](std::int64_t) { seen = max_threads(); });
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(max_threads(), 4);
  set_max_threads(before);
}

TEST(Sweep, RethrowsTheFirstExceptionAndBeginsNoMore) {
  std::atomic<int> begun{0};
  const auto run = [&](std::int64_t i) {
    ++begun;
    if (i == 1) throw std::runtime_error("one");
  };
  EXPECT_THROW(sweep(1000, 2, run), std::runtime_error);
  EXPECT_LT(begun, 1000);
}

}  // namespace
}  // namespace evenkeel::train
