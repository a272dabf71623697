#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace evenkeel {
namespace {

class ParallelFor : public ::testing::Test {
 protected:
  void TearDown() override { set_max_threads(before_); }
  const int before_ = max_threads();
};

TEST_F(ParallelFor, CallsEveryIndexOnceForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 3, 8, 33}) {
    set_max_threads(threads);
    for (const std::int64_t count : {0, 1, 2, 7, 64, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      parallel_for(count, 1 << 20, [&](std::int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
      for (const auto& c : calls) ASSERT_EQ(c, 1);
    }
  }
}

TEST_F(ParallelFor, RangesCoverEverythingInBlocks) {
  set_max_threads(3);
  std::vector<int> seen(1003, 0);
  parallel_ranges(1003, 100, [&](std::int64_t begin, std::int64_t end) {
    EXPECT_EQ(begin % 100, 0);
    EXPECT_LE(end - begin, 100);
    for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 1003);
}

TEST_F(ParallelFor, RethrowsTheFirstExceptionAndStaysUsable) {
  set_max_threads(4);
  for (int round = 0; round < 50; ++round) {
    EXPECT_THROW(parallel_for(100, 1 << 20,
                              [](std::int64_t i) {
                                if (i == 37) throw std::runtime_error("thirty-seven");
                              }),
                 std::runtime_error);
    std::atomic<int> done{0};
    parallel_for(100, 1 << 20, [&](std::int64_t) { ++done; });
    EXPECT_EQ(done, 100);
  }
}

TEST_F(ParallelFor, NestedCallsRunSerially) {
  set_max_threads(4);
  EXPECT_FALSE(in_parallel());
  std::atomic<int> inner{0};
  parallel_for(8, 1 << 20, [&](std::int64_t) {
    EXPECT_TRUE(in_parallel());
    const auto self = std::this_thread::get_id();
    parallel_for(10, 1 << 20, [&](std::int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      ++inner;
    });
  });
  EXPECT_EQ(inner, 80);
  EXPECT_FALSE(in_parallel());
}

TEST_F(ParallelFor, TwoCallersAtOnceBothFinish) {
  set_max_threads(4);
  std::atomic<std::int64_t> total{0};
  const auto work = [&] {
    for (int round = 0; round < 200; ++round) {
      parallel_for(50, 1 << 20, [&](std::int64_t i) { total += i; });
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(total, 2 * 200 * 49 * 50 / 2);
}

TEST_F(ParallelFor, FewerThanOneThreadIsRefused) { EXPECT_THROW(set_max_threads(0), UsageError); }

}  // namespace
}  // namespace evenkeel
