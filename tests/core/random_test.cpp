#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace evenkeel {
namespace {

// Known answers of Philox4x32-10, published with the Random123 library.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Random(0, 0).block(0),
            (std::array<std::uint32_t, 4>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(Random(~0ull, ~0ull).block(~0ull),
            (std::array<std::uint32_t, 4>{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
}

TEST(Random, FillsAreTheSameForAnyNumberOfThreadsAndContinue) {
  const int before = max_threads();
  std::vector<float> expected(100001), got(100001);
  set_max_threads(1);
  Random a(7, 3);
  a.fill_normal(expected, 0, 1);
  for (const int threads : {2, 5}) {
    set_max_threads(threads);
    Random b(7, 3);
    b.fill_normal(got, 0, 1);
    EXPECT_EQ(got, expected);
    EXPECT_EQ(a.position(), b.position());
  }
  set_max_threads(before);
  Random resumed(7, 3);
  resumed.set_position(a.position());
  EXPECT_EQ(resumed.next_u64(), a.next_u64());
}

TEST(Random, NormalHasItsMoments) {
  std::vector<double> x(200000);
  Random(1).fill_normal(x, 2, 3);
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  double var = 0;
  for (const double v : x) var += (v - mean) * (v - mean);
  EXPECT_NEAR(mean, 2, 0.05);
  EXPECT_NEAR(std::sqrt(var / static_cast<double>(x.size())), 3, 0.05);
}

TEST(Random, UniformStaysInItsRangeAndBelowIsUnbiased) {
  Random random(9);
  std::vector<int> histogram(6, 0);
  for (int i = 0; i < 60000; ++i) ++histogram[random.below(6)];
  for (const int count : histogram) EXPECT_NEAR(count, 10000, 500);
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform();
    EXPECT_GE(u, 0);
    EXPECT_LT(u, 1);
  }
}

TEST(Random, StreamsAndForksDiffer) {
  EXPECT_NE(Random(1, 0).next_u64(), Random(1, 1).next_u64());
  EXPECT_NE(Random(1).fork(1).next_u64(), Random(1).fork(2).next_u64());
  EXPECT_EQ(Random(1).fork(1).next_u64(), Random(1).fork(1).next_u64());
}

TEST(Random, ShuffleIsAPermutation) {
  std::vector<std::int64_t> order(100);
  std::iota(order.begin(), order.end(), 0);
  const auto sorted = order;
  Random(3).shuffle(order);
  EXPECT_NE(order, sorted);
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, sorted);
}

}  // namespace
}  // namespace evenkeel
