// Intervals, checks and verdicts.
#include "lab/statistics.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

using List = std::vector<double>;

TEST(Interval, is_student_s_of_the_mean) {
  const Interval interval = interval_of(List{1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(interval.mean, 3);
  // 2.7764 · √(2.5/5)
  EXPECT_NEAR(interval.hi, 3 + 1.96322, 1e-4);
  EXPECT_NEAR(interval.lo, 3 - 1.96322, 1e-4);
  EXPECT_EQ(interval.n, 5);
}

TEST(Interval, of_equal_values_has_no_width) {
  const Interval interval = interval_of(List{0.25, 0.25, 0.25});
  EXPECT_EQ(interval.lo, 0.25);
  EXPECT_EQ(interval.hi, 0.25);
}

TEST(Interval, of_one_value_has_no_bounds) {
  const Interval interval = interval_of(List{7});
  EXPECT_EQ(interval.mean, 7);
  EXPECT_TRUE(std::isinf(interval.lo) && std::isinf(interval.hi));
}

TEST(Interval, is_nothing_where_a_value_is_nothing) {
  EXPECT_TRUE(std::isnan(interval_of(List{1, std::nan("")}).mean));
  EXPECT_TRUE(std::isnan(interval_of(List{}).hi));
}

TEST(StudentT, meets_the_tables) {
  EXPECT_NEAR(student_t(1), 12.7062, 1e-3);
  EXPECT_NEAR(student_t(4), 2.7764, 1e-3);
  EXPECT_NEAR(student_t(31), 2.0395, 1e-3);
  EXPECT_NEAR(student_t(100), 1.9840, 1e-3);
  EXPECT_THROW(student_t(0), UsageError);
}

TEST(Check, says_yes_where_the_whole_interval_is_above_and_the_mean_matters) {
  EXPECT_EQ(check_difference("", "", List{1, 1.1, 0.9, 1, 1.05}).outcome, Outcome::yes);
  EXPECT_EQ(check_difference("", "", List{1, 1.1, 0.9, 1, 1.05}, 2).outcome, Outcome::unclear);
  EXPECT_EQ(check_difference("", "", List{5, -3, 4, -2, 6}).outcome, Outcome::unclear);
}

TEST(Check, of_identical_arms_is_unclear) {
  EXPECT_EQ(check_difference("", "", List{0, 0, 0, 0, 0}).outcome, Outcome::unclear);
  const List ones{1, 2, 3};
  EXPECT_EQ(check_ratio("", "", log_ratios(ones, ones)).outcome, Outcome::unclear);
}

TEST(Check, of_values_that_are_none_is_unclear) {
  EXPECT_EQ(check_difference("", "", List{1, std::nan(""), 1}).outcome, Outcome::unclear);
}

RC_GTEST_PROP(Check, turns_round_where_the_arms_are_exchanged, (const List& some)) {
  RC_PRE(some.size() >= 2);
  List values;
  for (const double value : some) values.push_back(std::remainder(value, 100.0));
  List negated;
  for (const double value : values) negated.push_back(-value);
  const Outcome there = check_difference("", "", values, 0.5).outcome;
  const Outcome back = check_difference("", "", negated, 0.5).outcome;
  RC_ASSERT((there == Outcome::yes) == (back == Outcome::no));
  RC_ASSERT((there == Outcome::unclear) == (back == Outcome::unclear));
}

TEST(Check, of_a_ratio_is_shown_as_one) {
  const Check check = check_ratio("", "", log_ratios(List{2, 4, 8}, List{1, 2, 4}), 1.5);
  EXPECT_NEAR(check.interval.mean, 2, 1e-12);
  EXPECT_EQ(check.outcome, Outcome::yes);
  EXPECT_EQ(check.neutral(), 1);
  EXPECT_EQ(check.judge, Judge::ratio);
  EXPECT_THROW(log_ratios(List{1}, List{1, 2}), ShapeError);
}

TEST(CheckAlike, says_yes_where_the_whole_interval_lies_in_the_band) {
  const auto outcome = [](const List& ratios) {
    return check_alike("", "", log_ratios(ratios, List(ratios.size(), 1)), 1.05).outcome;
  };
  EXPECT_EQ(outcome({1.00, 1.01, 0.99, 1.02, 1.00}), Outcome::yes);
  EXPECT_EQ(outcome({0.98, 0.98, 0.98, 0.98, 0.98}), Outcome::yes);      // cheaper, and hardly
  EXPECT_EQ(outcome({1.04, 1.06, 1.05, 1.03, 1.07}), Outcome::unclear);  // over the edge
  EXPECT_EQ(outcome({0.90, 1.10, 1.00, 0.95, 1.05}), Outcome::unclear);  // too wide
  EXPECT_EQ(outcome({1.20, 1.21, 1.19, 1.20, 1.22}), Outcome::no);
  EXPECT_EQ(outcome({0.80, 0.81, 0.79, 0.80, 0.82}), Outcome::unclear);  // not alike, not worse
  EXPECT_EQ(outcome({1.20, std::nan(""), 1.19}), Outcome::unclear);
  EXPECT_EQ(outcome({1.00}), Outcome::unclear);  // of one value nothing is known
}

TEST(CheckAlike, is_a_ratio_with_its_band) {
  const Check check = check_alike("", "", log_ratios(List{1, 1}, List{1, 1}), 1.25);
  EXPECT_EQ(check.judge, Judge::alike);
  EXPECT_EQ(check.neutral(), 1);
  EXPECT_EQ(check.interval.mean, 1);
  EXPECT_EQ(check.needed(), std::pair(0.8, 1.25));
}

RC_GTEST_PROP(CheckAlike, stays_where_the_arms_are_exchanged, (const List& some)) {
  List logs, negated;
  for (const double value : some) logs.push_back(std::remainder(value, 0.2));
  for (const double value : logs) negated.push_back(-value);
  const Outcome there = check_alike("", "", logs, 1.05).outcome;
  const Outcome back = check_alike("", "", negated, 1.05).outcome;
  RC_ASSERT((there == Outcome::yes) == (back == Outcome::yes));
  RC_ASSERT(there != Outcome::no || back == Outcome::unclear);
}

TEST(Check, says_what_its_mean_needed) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  using Pair = std::pair<double, double>;
  EXPECT_EQ(check_difference("", "", List{3, 3}, 2).needed(), Pair(2, kInfinity));
  EXPECT_EQ(check_difference("", "", List{-3, -3}, 2).needed(), Pair(-kInfinity, -2));
  EXPECT_EQ(check_difference("", "", List{-3, 3}, 2).needed(), Pair(2, kInfinity));
  const List ones{1, 1}, twos{2, 2};
  EXPECT_EQ(check_ratio("", "", log_ratios(twos, ones), 1.25).needed(), Pair(1.25, kInfinity));
  EXPECT_EQ(check_ratio("", "", log_ratios(ones, twos), 1.25).needed(), Pair(-kInfinity, 0.8));
  EXPECT_EQ(check_alike("", "", log_ratios(twos, ones), 1.25).needed(), Pair(1.25, kInfinity));
}

Check with(Outcome outcome) {
  Check check;
  check.outcome = outcome;
  return check;
}

TEST(Verdict, follows_from_the_checks) {
  const Check yes = with(Outcome::yes), no = with(Outcome::no), unclear = with(Outcome::unclear);
  EXPECT_EQ(verdict_of(std::vector{yes, yes}), Verdict::supported);
  EXPECT_EQ(verdict_of(std::vector{yes, unclear}), Verdict::supported);
  EXPECT_EQ(verdict_of(std::vector{yes, unclear, unclear}), Verdict::undecided);
  EXPECT_EQ(verdict_of(std::vector{no, no, unclear}), Verdict::not_supported);
  EXPECT_EQ(verdict_of(std::vector{no, unclear, unclear}), Verdict::undecided);
  EXPECT_EQ(verdict_of(std::vector{yes, no, yes}), Verdict::mixed);
  EXPECT_EQ(verdict_of(std::vector{unclear}), Verdict::undecided);
  EXPECT_EQ(verdict_of(std::vector<Check>{}), Verdict::undecided);
}

TEST(Median, of_even_and_odd_counts) {
  EXPECT_EQ(median_of({3, 1, 2}), 2);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
}

}  // namespace
}  // namespace evenkeel::lab
