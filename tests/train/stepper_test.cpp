// Steps whose batch goes through the network in parts.
#include "train/stepper.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/nn/nn.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::train {
namespace {

constexpr double kRate = 0.1;

nn::Sequential network(std::int64_t ghost_size) {
  nn::Sequential net{nn::Linear(6, 8), nn::BatchNorm1d(8, {.ghost_size = ghost_size}), nn::ReLU(),
                     nn::Linear(8, 5), nn::BatchNorm1d(5, {.ghost_size = ghost_size}), nn::ReLU(),
                     nn::Linear(5, 3)};
  net.initialize(2);
  return net;
}

data::Batch batch_of(std::int64_t samples, std::uint64_t seed) {
  data::Batch batch;
  batch.x = Tensor::empty({samples, 6});
  Random random(seed);
  for (float& value : batch.x.span<float>()) value = static_cast<float>(random.normal());
  for (std::int64_t i = 0; i < samples; ++i) batch.labels.push_back(static_cast<int>(i % 3));
  return batch;
}

struct Training {
  nn::Sequential net;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<Stepper> stepper;

  Training(std::int64_t ghost_size, std::int64_t micro_batch) : net(network(ghost_size)) {
    optimizer = optim::make_optimizer("sgd", optim::make_groups(net, {}), {});
    stepper = std::make_unique<Stepper>(net, *optimizer, 0.1, 1.0, micro_batch);
  }
};

double difference(nn::Module& a, nn::Module& b) {
  const nn::StateDict left = a.state_dict();
  const nn::StateDict right = b.state_dict();
  double worst = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const Tensor x = left[i].second.to(DType::f64);
    const Tensor y = right[i].second.to(DType::f64);
    for (std::int64_t k = 0; k < x.numel(); ++k) {
      worst = std::max(worst, std::abs(x.data<double>()[k] - y.data<double>()[k]));
    }
  }
  return worst;
}

TEST(Stepper, parts_of_a_batch_train_as_virtual_batches_do) {
  // 8 + 8 + 4 samples, and 8 + 9: a last part of one sample is joined to the one before.
  for (const std::int64_t samples : {20, 17}) {
    Training parts(0, 8);
    Training ghosts(8, 0);
    for (std::uint64_t step = 0; step < 3; ++step) {
      const data::Batch batch = batch_of(samples, step);
      const StepOutcome left = parts.stepper->step(batch, kRate);
      const StepOutcome right = ghosts.stepper->step(batch, kRate);
      EXPECT_NEAR(left.loss, right.loss, 1e-5);
      EXPECT_EQ(left.correct, right.correct);
      EXPECT_EQ(left.trouble, "");
    }
    EXPECT_LE(difference(parts.net, ghosts.net), 1e-5) << samples;
  }
}

TEST(Stepper, one_part_is_the_whole_batch_in_all_bits) {
  Training parts(0, 20);
  Training whole(0, 0);
  const data::Batch batch = batch_of(20, 1);
  EXPECT_EQ(parts.stepper->step(batch, kRate).loss, whole.stepper->step(batch, kRate).loss);
  EXPECT_EQ(difference(parts.net, whole.net), 0);
}

TEST(Stepper, a_part_that_is_not_finite_skips_the_whole_step) {
  Training run(0, 8);
  run.stepper->step(batch_of(20, 1), kRate);
  Training expected(0, 8);
  expected.stepper->step(batch_of(20, 1), kRate);
  data::Batch batch = batch_of(20, 2);
  batch.x.data<float>()[6 * 10] = std::numeric_limits<float>::quiet_NaN();  // in the second part
  const StepOutcome outcome = run.stepper->step(batch, kRate);
  EXPECT_TRUE(outcome.skipped);
  EXPECT_NE(outcome.trouble.find("the loss is nan"), std::string::npos) << outcome.trouble;
  EXPECT_EQ(difference(run.net, expected.net), 0);
  run.stepper->step(batch_of(20, 3), kRate);
  expected.stepper->step(batch_of(20, 3), kRate);
  EXPECT_EQ(difference(run.net, expected.net), 0);
}

TEST(Stepper, parts_of_less_than_two_samples_are_refused_as_a_setting) {
  Settings settings;
  settings.batch_size = 8;
  settings.accumulate = 4;
  EXPECT_NO_THROW(check(settings));
  settings.accumulate = 5;
  EXPECT_NE(testing::error_of<UsageError>([&] { check(settings); }).find("give 4 or less"),
            std::string::npos);
}

TEST(Stepper, tells_which_batches_are_less_than_a_virtual_one) {
  const Training parts(8, 10);
  EXPECT_EQ(parts.stepper->too_large_for(10), nullptr);
  EXPECT_EQ(parts.stepper->too_large_for(28), nullptr);
  EXPECT_EQ(parts.stepper->too_large_for(21), nullptr) << "10 and 11";
  for (const std::int64_t samples : {7, 17, 22}) {
    const nn::BatchNorm* const layer = parts.stepper->too_large_for(samples);
    ASSERT_NE(layer, nullptr) << samples;
    EXPECT_EQ(layer->label(), "BatchNorm1d 1");
  }
  const Training plain(0, 0);
  EXPECT_EQ(plain.stepper->too_large_for(1), nullptr);
}

TEST(Stepper, runs_leave_out_a_last_batch_that_is_less_than_a_virtual_one) {
  const testing::TemporaryFolder folder;
  Settings settings = testing::tiny_settings(folder / "run");
  settings.epochs = 1;
  settings.batch_size = 50;  // of 320: 20 are left
  settings.norm = "ghost:25";
  EXPECT_EQ(Trainer(settings, testing::tiny_splits()).run().steps, 6);
  settings.out = (folder / "all").string();
  settings.norm = "ghost:20";
  EXPECT_EQ(Trainer(settings, testing::tiny_splits()).run().steps, 7);
}

TEST(Stepper, virtual_batches_larger_than_the_batch_are_refused_before_a_run_begins) {
  const testing::TemporaryFolder folder;
  Settings settings = testing::tiny_settings(folder / "run");
  settings.norm = "ghost:20";
  settings.accumulate = 2;  // of 32
  EXPECT_NE(testing::error_of<UsageError>([&] {
              Trainer(settings, testing::tiny_splits());
            }).find("takes statistics over 20 samples"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST(Stepper, accumulated_runs_learn_and_resume_as_others_do) {
  const testing::TemporaryFolder folder;
  Settings settings = testing::tiny_settings(folder / "run");
  settings.dropout = 0;
  settings.epochs = 8;
  settings.accumulate = 4;
  const TrainResult result = Trainer(settings, testing::tiny_splits()).run();
  EXPECT_EQ(result.steps, 80);
  EXPECT_GT(result.history.back().accuracy, 0.9);
  EXPECT_EQ(stored_settings(folder / "run").accumulate, 4);
}

}  // namespace
}  // namespace evenkeel::train
