#include <cmath>
#include <numbers>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <evenkeel/core/error.h>
#include <evenkeel/optim/schedule.h>

namespace evenkeel::optim {
namespace {

std::string message_of(const std::string& spec) {
  try {
    Schedule(spec, {});
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Schedule, ConstantStays) {
  const Schedule schedule("constant", {.lr = 0.3});
  EXPECT_EQ(schedule.lr_at(0, 100), 0.3);
  EXPECT_EQ(schedule.lr_at(99, 100), 0.3);
}

TEST(Schedule, StepFallsAfterEveryFewEpochs) {
  const Schedule schedule("step:2,0.5", {.lr = 0.8, .steps_per_epoch = 10});
  EXPECT_EQ(schedule.lr_at(19, 100), 0.8);
  EXPECT_EQ(schedule.lr_at(20, 100), 0.4);
  EXPECT_EQ(schedule.lr_at(59, 100), 0.2);
  EXPECT_EQ(schedule.lr_at(60, 100), 0.1);
}

TEST(Schedule, CosineFollowsHalfAWave) {
  const Schedule schedule("cosine", {.lr = 2});
  EXPECT_EQ(schedule.lr_at(0, 8), 2.0);
  EXPECT_NEAR(schedule.lr_at(2, 8), 1 + std::cos(std::numbers::pi / 4), 1e-15);
  EXPECT_NEAR(schedule.lr_at(4, 8), 1.0, 1e-15);
}

// torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=11): the top is at step 0.3·11 − 1
// = 2.3.
TEST(Schedule, OneCycleFollowsPyTorch) {
  const Schedule schedule("one-cycle", {.lr = 1});
  const auto between = [](double from, double to, double part) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * part));
  };
  EXPECT_NEAR(schedule.lr_at(0, 11), 0.04, 1e-15);
  EXPECT_NEAR(schedule.lr_at(1, 11), between(0.04, 1, 1 / 2.3), 1e-12);
  EXPECT_NEAR(schedule.lr_at(2, 11), between(0.04, 1, 2 / 2.3), 1e-12);
  EXPECT_NEAR(schedule.lr_at(3, 11), between(1, 4e-6, 0.7 / 7.7), 1e-12);
  EXPECT_NEAR(schedule.lr_at(10, 11), 4e-6, 1e-15);
}

TEST(Schedule, OneCycleTakesTheRisingPart) {
  const Schedule schedule("one-cycle:0.5", {.lr = 1});
  EXPECT_EQ(schedule.lr_at(4, 10), 1.0);
  EXPECT_LT(schedule.lr_at(3, 10), 1.0);
  EXPECT_LT(schedule.lr_at(5, 10), 1.0);
}

TEST(Schedule, WarmUpRisesLinearlyAndTheRestBeginsAfterIt) {
  const Schedule schedule("cosine", {.lr = 1, .warmup = 4});
  EXPECT_EQ(schedule.lr_at(0, 12), 0.25);
  EXPECT_EQ(schedule.lr_at(3, 12), 1.0);
  EXPECT_EQ(schedule.lr_at(4, 12), 1.0);
  EXPECT_NEAR(schedule.lr_at(8, 12), 0.5, 1e-15);
}

RC_GTEST_PROP(Schedule, StaysBetweenZeroAndThePeak, ()) {
  const auto& rows = schedules();
  const auto row = *rc::gen::inRange<std::size_t>(0, rows.size());
  const auto total = *rc::gen::inRange<std::int64_t>(1, 50);
  const auto step = *rc::gen::inRange<std::int64_t>(-3, 60);
  const auto warmup = *rc::gen::inRange<std::int64_t>(0, 60);
  const auto per_epoch = *rc::gen::inRange<std::int64_t>(1, 20);
  const Schedule schedule(rows[row].name,
                          {.lr = 0.1, .warmup = warmup, .steps_per_epoch = per_epoch});
  const double lr = schedule.lr_at(step, total);
  RC_ASSERT(std::isfinite(lr));
  RC_ASSERT(lr >= 0 && lr <= 0.1);
}

TEST(Schedule, NamesTheNearestOfAnUnknownName) {
  EXPECT_NE(message_of("cosin").find("did you mean 'cosine'?"), std::string::npos);
  EXPECT_NE(message_of("zigzag-of-another-kind").find("one-cycle"), std::string::npos);
}

TEST(Schedule, RefusesNumbersThatDoNotFit) {
  EXPECT_NE(message_of("step:ten").find("step:EPOCHS,FACTOR"), std::string::npos);
  EXPECT_NE(message_of("step:10,0.1,3").find("too many"), std::string::npos);
  EXPECT_NE(message_of("constant:3").find("too many"), std::string::npos);
  EXPECT_NE(message_of("one-cycle:1.5").find("from 0 to 1"), std::string::npos);
  EXPECT_NE(message_of("step:0").find("from 1"), std::string::npos);
  EXPECT_NE(message_of("step:").find("expected a number"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::optim
