#include "lab/time_left.h"

#include <gtest/gtest.h>

namespace evenkeel::lab {
namespace {

/// Three experiments of nominally 100 seconds.
class TimeLeftTest : public ::testing::Test {
 protected:
  TimeLeftTest() {
    for (const char* const name : {"one", "two", "three"}) {
      Experiment experiment;
      experiment.name = name;
      experiment.quick_seconds = 100;
      experiments_.push_back(experiment);
    }
    for (const Experiment& experiment : experiments_) chosen_.push_back(&experiment);
  }

  TimeLeft of(const std::vector<std::string>& finished = {}) const {
    return {chosen_, Budget::quick, finished};
  }

 private:
  std::vector<Experiment> experiments_;

 protected:
  std::vector<const Experiment*> chosen_;
};

TEST_F(TimeLeftTest, goes_by_the_pace_of_what_was_measured) {
  TimeLeft time = of();
  time.begin(0, 1000);
  EXPECT_DOUBLE_EQ(time.left({.done = 0, .expected = 10}, 1000), 300);  // nothing tells otherwise
  EXPECT_DOUBLE_EQ(time.left({.done = 5, .expected = 10}, 1100), 100 + 2 * 200);
  time.end({.done = 10, .expected = 10}, 1200);
  time.begin(1, 1200);
  EXPECT_DOUBLE_EQ(time.left({.done = 0, .expected = 4}, 1200), 2 * 200);
}

TEST_F(TimeLeftTest, takes_nothing_of_the_pace_from_what_was_known) {
  TimeLeft time = of();
  time.begin(0, 0);
  // 6 of 10 were known; that took no time. The seventh took 20 seconds.
  EXPECT_DOUBLE_EQ(time.left({.done = 6, .known = 6, .expected = 10}, 0), 40 + 200);
  EXPECT_DOUBLE_EQ(time.left({.done = 7, .known = 6, .expected = 10}, 20), 60 + 2 * 200);
  time.end({.done = 10, .known = 6, .expected = 10}, 80);
  time.begin(1, 80);
  EXPECT_DOUBLE_EQ(time.left({.done = 0, .expected = 10}, 80), 2 * 200);
}

TEST_F(TimeLeftTest, is_not_misled_by_an_experiment_that_is_only_redrawn) {
  TimeLeft time = of();
  time.begin(0, 0);
  EXPECT_DOUBLE_EQ(time.left({.done = 10, .known = 10, .expected = 10}, 1), 200);
  time.end({.done = 10, .known = 10, .expected = 10}, 1);
  time.begin(1, 1);
  EXPECT_DOUBLE_EQ(time.left({.done = 0, .expected = 10}, 1), 200);
}

TEST_F(TimeLeftTest, leaves_out_what_was_finished_before) {
  TimeLeft time = of({"one", "three"});
  time.begin(0, 0);
  EXPECT_DOUBLE_EQ(time.left({.done = 10, .known = 10, .expected = 10}, 0), 100);
  time.begin(1, 0);
  EXPECT_DOUBLE_EQ(time.left({.done = 5, .expected = 10}, 30), 30);
}

TEST_F(TimeLeftTest, is_never_below_nothing) {
  TimeLeft time = of();
  time.begin(2, 0);
  EXPECT_EQ(time.left({.done = 12, .expected = 10}, 50), 0);
  EXPECT_EQ(time.left({.done = 3, .expected = 0}, 50), 100);
}

}  // namespace
}  // namespace evenkeel::lab
