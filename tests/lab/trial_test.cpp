// When trials evaluate, and how steps are counted on their curves.
#include "lab/trial.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "lab/rates.h"

namespace evenkeel::lab {
namespace {

std::vector<std::int64_t> evaluations(std::int64_t steps, std::int64_t every, double growth) {
  Trial trial;
  trial.steps = steps;
  trial.evaluate_every = every;
  trial.evaluate_growth = growth;
  return evaluations_of(trial);
}

TEST(Trial, EvaluatesEverySoManyStepsAndAtTheEnd) {
  EXPECT_EQ(evaluations(20, 0, 0), (std::vector<std::int64_t>{20}));
  EXPECT_EQ(evaluations(20, 0, 2), (std::vector<std::int64_t>{20}));
  EXPECT_EQ(evaluations(20, 8, 0), (std::vector<std::int64_t>{8, 16, 20}));
  EXPECT_EQ(evaluations(20, 10, 0), (std::vector<std::int64_t>{10, 20}));
}

TEST(Trial, EvaluatesMoreOftenAtTheBeginning) {
  EXPECT_EQ(evaluations(200, 40, 2), (std::vector<std::int64_t>{8, 16, 32, 40, 80, 120, 160, 200}));
  EXPECT_EQ(evaluations(5, 40, 2), (std::vector<std::int64_t>{5}));
  for (const auto& [steps, every, growth] :
       {std::tuple{50'000, 250, 1.1}, std::tuple{480, 60, 1.25}, std::tuple{30, 2, 1.01}}) {
    const auto at = evaluations(steps, every, growth);
    EXPECT_EQ(at.back(), steps);
    EXPECT_TRUE(std::ranges::is_sorted(at, std::less_equal())) << steps;  // no step twice
    for (std::int64_t step = every; step < steps; step += every) {
      if (static_cast<double>(step) * (growth - 1) < static_cast<double>(every)) continue;
      EXPECT_TRUE(std::ranges::binary_search(at, step)) << step;
    }
    for (std::size_t i = 1; i < at.size(); ++i) EXPECT_LE(at[i] - at[i - 1], every) << at[i];
  }
}

TEST(Trial, CountsStepsOnStraightLines) {
  const Series curve{{8, 16, 32}, {0.2, 0.6, 0.4}};
  EXPECT_EQ(first_reach(curve, 0.1, 99), 8);
  EXPECT_DOUBLE_EQ(first_reach(curve, 0.2, 99), 8);
  EXPECT_DOUBLE_EQ(first_reach(curve, 0.3, 99), 10);
  EXPECT_DOUBLE_EQ(first_reach(curve, 0.6, 99), 16);
  EXPECT_EQ(first_reach(curve, 0.7, 99), 99);
}

TEST(Rates, AreMarkedAtTheEndOfTheirGrid) {
  const std::vector<double> tried{0.1, 0.3, 1};
  EXPECT_EQ(rate_text(0.3, tried), "0.3");
  EXPECT_EQ(rate_text(1, tried), "1, the highest tried");
  EXPECT_EQ(rate_text(0.1, tried), "0.1, the lowest tried");
  EXPECT_EQ(rate_text(0.1, {0.1}), "0.1");
}

}  // namespace
}  // namespace evenkeel::lab
