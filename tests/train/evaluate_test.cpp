#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::train {
namespace {

using testing::error_of;

data::Dataset rows(std::int64_t count) {
  data::Dataset dataset;
  dataset.samples = Tensor::zeros({count, 4});
  Random random(2);
  random.fill_normal(dataset.samples.span<float>(), 1, 2);
  for (std::int64_t i = 0; i < count; ++i) dataset.labels.push_back(static_cast<int>(i % 3));
  dataset.classes = 3;
  return dataset;
}

nn::Sequential network() {
  nn::Sequential result{nn::Linear(4, 6), nn::BatchNorm1d(6), nn::Dropout(0.5), nn::Linear(6, 3)};
  result.initialize(5);
  return result;
}

std::vector<Tensor> state_of(nn::Module& module) {
  std::vector<Tensor> state;
  for (const auto& [name, tensor] : module.state_dict()) state.push_back(tensor.clone());
  return state;
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(a[i].raw(), b[i].raw(), a[i].bytes()) != 0) return false;
  }
  return a.size() == b.size();
}

TEST(Evaluate, LeavesTheNetworkAsItWas) {
  nn::Sequential net = network();
  const std::vector<Tensor> before = state_of(net);
  net.train();
  net.child(2).eval();
  for (const EvalMode mode : {EvalMode::eval, EvalMode::train}) {
    evaluate(net, rows(50), {}, {.batch_size = 16, .mode = mode, .progress = {}});
    EXPECT_TRUE(same(before, state_of(net)));
    EXPECT_TRUE(net.training());
    EXPECT_TRUE(net.child(1).training());
    EXPECT_FALSE(net.child(2).training());
  }
}

TEST(Evaluate, DoesNotDependOnTheBatchSizeInEvalMode) {
  nn::Sequential net = network();
  const Evaluation whole = evaluate(net, rows(50), {}, {.batch_size = 50, .progress = {}});
  const Evaluation parts = evaluate(net, rows(50), {}, {.batch_size = 7, .progress = {}});
  EXPECT_EQ(whole.accuracy, parts.accuracy);
  EXPECT_NEAR(whole.loss, parts.loss, 1e-6);
  EXPECT_EQ(parts.count, 50);
}

TEST(Evaluate, TakesProbabilitiesAsTheyAre) {
  nn::Sequential logits = network();
  nn::Sequential probabilities{logits, nn::Softmax()};
  const Evaluation expected = evaluate(logits, rows(50), {});
  EvalOptions options;
  options.probabilities = true;
  const Evaluation got = evaluate(probabilities, rows(50), {}, options);
  EXPECT_EQ(got.accuracy, expected.accuracy);
  EXPECT_NEAR(got.loss, expected.loss, 1e-6);
}

TEST(Evaluate, UsesTheStatisticsOfTheBatchInTrainMode) {
  nn::Sequential net{nn::BatchNorm1d(4), nn::Linear(4, 3)};
  net.initialize(5);
  net.buffers()[0].buffer->value.fill(1e3);  // running statistics that fit nothing
  data::Dataset dataset = rows(64);
  const Evaluation train =
      evaluate(net, dataset, {}, {.batch_size = 64, .mode = EvalMode::train, .progress = {}});
  const Evaluation eval = evaluate(net, dataset, {}, {.batch_size = 64, .progress = {}});
  EXPECT_LT(train.loss, 3);
  EXPECT_GT(eval.loss, 50);
}

TEST(Evaluate, DropsASingleLeftOverSampleInTrainModeOnly) {
  nn::Sequential net = network();
  const Evaluation train =
      evaluate(net, rows(17), {}, {.batch_size = 16, .mode = EvalMode::train, .progress = {}});
  EXPECT_EQ(train.count, 16);
  EXPECT_EQ(evaluate(net, rows(17), {}, {.batch_size = 16, .progress = {}}).count, 17);
}

TEST(Evaluate, ReportsProgress) {
  nn::Sequential net = network();
  std::vector<std::int64_t> done;
  evaluate(net, rows(20), {},
           {.batch_size = 8, .progress = [&](std::int64_t part, std::int64_t whole) {
              done.push_back(part);
              EXPECT_EQ(whole, 20);
            }});
  EXPECT_EQ(done, (std::vector<std::int64_t>{8, 16, 20}));
}

TEST(Evaluate, RefusesWhatHasNoMeaning) {
  nn::Sequential net = network();
  EXPECT_THROW(evaluate(net, {}, {}), UsageError);
  EXPECT_THROW(evaluate(net, rows(4), {}, {.batch_size = 0, .progress = {}}), UsageError);
  EXPECT_THROW(evaluate(net, rows(1), {}, {.mode = EvalMode::train, .progress = {}}), UsageError);
}

TEST(Evaluate, GivesTheModeBackAfterAnError) {
  nn::Sequential net = network();
  net.train();
  data::Dataset wrong;
  wrong.samples = Tensor::zeros({3, 9});
  wrong.labels = {0, 1, 2};
  wrong.classes = 3;
  EXPECT_THROW(evaluate(net, wrong, {}), ShapeError);
  EXPECT_TRUE(net.training());
}

}  // namespace
}  // namespace evenkeel::train
