#include <array>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/nn/nn.h>

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::error_of;

using Steps = std::vector<std::int64_t>;

nn::Sequential network() {
  nn::Sequential net{nn::Linear(4, 3), nn::BatchNorm1d(3), nn::Sigmoid(),
                     nn::Sequential{nn::Linear(3, 2)}};
  net.initialize(1);
  return net;
}

Tensor batch(std::uint64_t seed) {
  Tensor x = Tensor::empty({8, 4});
  Random(seed).fill_normal(x.span<float>(), 0, 1);
  return x;
}

TEST(ActivationRecorder, TakesPercentilesOfTheNextForwardOfEachModule) {
  nn::Sequential net = network();
  nn::Sequential alone(net);
  ActivationRecorder recorder(net, {"0", "3.0"}, {15, 50, 85});
  recorder.record(7);
  for (const std::uint64_t seed : {1U, 2U}) net.forward(batch(seed));
  recorder.record(9);
  net.forward(batch(3));
  const ActivationRecorder::Series& series = recorder.series("0");
  ASSERT_EQ(series.steps, (Steps{7, 9}));
  const std::array which{15.0, 50.0, 85.0};
  EXPECT_EQ(series.values[0], percentiles(alone[0].forward(batch(1)), which));
  EXPECT_EQ(series.values[1], percentiles(alone[0].forward(batch(3)), which));
  EXPECT_EQ(recorder.series("3.0").steps, (Steps{7, 9}));
}

TEST(ActivationRecorder, TakesOneUnitAlone) {
  nn::Sequential net = network();
  nn::Sequential alone(net);
  ActivationRecorder recorder(net, {"0"}, {15, 50, 85}, 2);
  recorder.record(1);
  net.forward(batch(1));
  EXPECT_EQ(recorder.series("0").values[0],
            percentiles_of_unit(alone[0].forward(batch(1)), 2, std::array{15.0, 50.0, 85.0}));
}

TEST(ActivationRecorder, WaitsForTrainingMode) {
  nn::Sequential net = network();
  ActivationRecorder recorder(net, {"0"}, {50});
  net.forward(batch(1));  // nobody asked
  recorder.record(1);
  net.eval();
  net.forward(batch(1));
  EXPECT_TRUE(recorder.series("0").steps.empty());
  net.train();
  net.forward(batch(1));
  EXPECT_EQ(recorder.series("0").steps, (Steps{1}));
}

TEST(ActivationRecorder, LetsEarlierWatchesHearAndPutsThemBack) {
  nn::Sequential net = network();
  int calls = 0;
  net[0].set_watch({[&calls](const Tensor&) { ++calls; }, [&calls](const Tensor&) { ++calls; }});
  {
    ActivationRecorder all(net, {"0", "1"}, {50});
    ActivationRecorder one(net, {"0"}, {50}, 0);
    all.record(1);
    one.record(1);
    net.backward(net.forward(batch(1)));
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(all.series("0").steps.size(), 1U);
    EXPECT_EQ(one.series("0").steps.size(), 1U);
  }
  net.backward(net.forward(batch(1)));
  EXPECT_EQ(calls, 4);
  EXPECT_FALSE(net[1].watch().forward);
}

TEST(ActivationRecorder, EndedInAnotherOrderDoesNoHarm) {
  nn::Sequential net = network();
  auto first = std::make_unique<ActivationRecorder>(net, std::vector<std::string>{"0"},
                                                    std::vector<double>{50});
  auto second = std::make_unique<ActivationRecorder>(net, std::vector<std::string>{"0"},
                                                     std::vector<double>{50});
  first->record(1);
  first.reset();
  second.reset();
  net.forward(batch(1));
}

TEST(ActivationRecorder, RefusesPathsThatItCannotRecord) {
  nn::Sequential net = network();
  const auto message = [&](const std::vector<std::string>& paths) {
    return error_of<UsageError>([&] { ActivationRecorder(net, paths, {50}); });
  };
  EXPECT_TRUE(contains(message({"3.1"}), "did you mean '3.0'?"));
  EXPECT_TRUE(contains(message({""}), "inside Sequential"));
  EXPECT_TRUE(contains(message({"0", "0"}), "'0' twice"));
  EXPECT_FALSE(net[0].watch().forward);
  EXPECT_TRUE(contains(error_of<UsageError>([&] { ActivationRecorder(net, {"0"}, {150}); }),
                       "from 0 to 100"));
  const ActivationRecorder recorder(net, {"0"}, {50});
  EXPECT_TRUE(contains(error_of<UsageError>([&] { recorder.series("1"); }),
                       "expected one of 1 recorded paths, got '1'"));
}

TEST(ActivationRecorder, OfAUnitThatThereIsNotFailsTheForward) {
  nn::Sequential net = network();
  ActivationRecorder recorder(net, {"0"}, {50}, 3);
  recorder.record(1);
  EXPECT_TRUE(contains(error_of<ShapeError>([&] { net.forward(batch(1)); }), "a unit of 3"));
}

}  // namespace
}  // namespace evenkeel::train
