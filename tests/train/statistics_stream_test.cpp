#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/nn/nn.h>

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::error_of;

constexpr std::array kThree{15.0, 50.0, 85.0};

Tensor batch(const Shape& shape, std::uint64_t seed, double mean = 0.5, double stddev = 2) {
  Tensor x = Tensor::empty(shape);
  Random(seed).fill_normal(x.span<float>(), static_cast<float>(mean), static_cast<float>(stddev));
  return x;
}

/// Mean and variance of one channel of [N, C, H, W], plainly.
std::pair<double, double> moments_of(const Tensor& x, std::int64_t c) {
  const ChannelDims dims = channel_dims(x.shape(), "test");
  const Tensor first = x.to(DType::f64).to(Layout::channels_first);
  const auto m = static_cast<double>(dims.n * dims.s);
  double mean = 0, var = 0;
  for (const bool second : {false, true}) {
    for (std::int64_t n = 0; n < dims.n; ++n) {
      for (std::int64_t s = 0; s < dims.s; ++s) {
        const double value = first.data<double>()[(n * dims.c + c) * dims.s + s];
        second ? var += (value - mean) * (value - mean) / m : mean += value / m;
      }
    }
  }
  return {mean, var};
}

void expect_near(const std::vector<double>& got, const std::vector<double>& wanted,
                 double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], wanted[i], tolerance) << what << ", " << i;
  }
}

TEST(StatisticsStream, HasEachBatchBesideTheRunningStatisticsBeforeIt) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    nn::BatchNorm2d layer(3);
    layer.forward(batch({4, 3, 2, 5}, 1));  // running statistics that are not 0 and 1
    const Tensor mean = layer.buffers()[0].buffer->value.clone();
    const Tensor var = layer.buffers()[1].buffer->value.clone();
    const StatisticsStream stream(layer);
    const Tensor x = batch({4, 3, 2, 5}, 2).to(layout);
    layer.forward(x);
    const NormStatistics& last = stream.last("");
    EXPECT_EQ(last.count, 40);
    for (std::int64_t c = 0; c < 3; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const auto [m, v] = moments_of(x, c);
      EXPECT_NEAR(last.mean[i], m, 1e-6);
      EXPECT_NEAR(last.var[i], v, 1e-6);
      const double old_mean = mean.span<double>()[i], old_var = var.span<double>()[i];
      EXPECT_EQ(last.running_mean[i], old_mean);
      EXPECT_EQ(last.running_var[i], old_var);
      EXPECT_NEAR(last.mean_gap()[i], std::abs(m - old_mean) / std::sqrt(old_var + 1e-5), 1e-6);
      EXPECT_NEAR(last.std_ratio()[i], std::sqrt((v * 40 / 39 + 1e-5) / (old_var + 1e-5)), 1e-6);
    }
  }
}

TEST(StatisticsStream, SummarizesChannelsAndValues) {
  nn::Sequential net{nn::Conv2d(2, 5, 1), nn::BatchNorm2d(5)};
  net.initialize(1);
  const auto gamma = net[1].parameters()[0].parameter->value.span<float>();
  for (std::size_t c = 0; c < 5; ++c) gamma[c] = static_cast<float>(c);
  nn::Sequential alone(net);
  const StatisticsStream stream(net);
  EXPECT_TRUE(stream.summaries().empty()) << "nothing came yet";
  const Tensor x = batch({4, 2, 3, 3}, 1);
  net.forward(x);
  const Tensor in = alone[0].forward(x);
  const Tensor out = alone[1].forward(in);
  ASSERT_EQ(stream.summaries().size(), 1U);
  const NormSummary summary = stream.summaries()[0];
  EXPECT_EQ(summary.path, "1");
  expect_near(summary.gamma, {0.6, 2, 3.4}, 1e-12, "gamma");
  expect_near(summary.beta, {0, 0, 0}, 0, "beta");
  expect_near(summary.input, percentiles(in, kThree), 0, "input");
  expect_near(summary.output, percentiles(out, kThree), 1e-5, "output");
  expect_near(summary.mean_gap, percentiles(stream.last("1").mean_gap(), kThree), 0, "gap");
  expect_near(summary.std_ratio, percentiles(stream.last("1").std_ratio(), kThree), 0, "ratio");
}

TEST(StatisticsStream, OutputsAreThoseBeforeAFusedActivation) {
  nn::Sequential net{nn::Linear(4, 5), nn::BatchNorm1d(5), nn::ReLU()};
  net.initialize(1);
  nn::Sequential plain(net);
  ASSERT_EQ(nn::fuse(net), 1);
  const StatisticsStream stream(net);
  const Tensor x = batch({16, 4}, 1);
  net.forward(x);
  const std::vector<double> output = stream.summaries()[0].output;
  EXPECT_LT(output[0], -0.5);
  expect_near(output, percentiles(plain[1].forward(plain[0].forward(x)), kThree), 1e-5, "output");
}

TEST(StatisticsStream, OutputsFollowTheStatisticsThatNormalize) {
  struct Case {
    std::string name;
    nn::BatchNormOptions options;
    bool train = true;
  };
  const std::vector<Case> cases{{"eval", {}, false},
                                {"frozen", {.freeze = nn::Freeze::statistics}},
                                {"untracked", {.track_running_stats = false}, false},
                                {"plain", {.affine = false}},
                                {"ghosts", {.ghost_size = 4}},
                                {"ghosts in eval mode", {.ghost_size = 4}, false}};
  for (const Case& one : cases) {
    nn::Sequential net{nn::BatchNorm1d(3, one.options)};
    net.forward(batch({16, 3}, 1, 3, 0.5));
    net.train(one.train);
    nn::Sequential alone(net);
    const StatisticsStream stream(net);
    const Tensor x = batch({16, 3}, 2);
    net.forward(x);
    expect_near(stream.summaries()[0].output, percentiles(alone.forward(x), kThree), 1e-5,
                one.name);
  }
}

TEST(StatisticsStream, OfRenormalizedLayersShowsWhatTheyGive) {
  nn::Sequential net{nn::BatchRenorm1d(3)};
  nn::Sequential alone(net);
  const StatisticsStream stream(net);
  const Tensor x = batch({16, 3}, 2);
  net.forward(x);
  expect_near(stream.summaries()[0].output, percentiles(alone.forward(x), kThree), 0, "output");
}

TEST(StatisticsStream, WithoutRunningStatisticsThereIsNothingToCompare) {
  nn::BatchNorm1d layer(3, {.track_running_stats = false});
  const StatisticsStream stream(layer);
  layer.forward(batch({16, 3}, 2));
  EXPECT_TRUE(stream.last("").mean_gap().empty());
  EXPECT_TRUE(std::isnan(stream.summaries()[0].mean_gap[1]));
  EXPECT_TRUE(std::isfinite(stream.summaries()[0].output[1]));
}

TEST(StatisticsStream, LeavesTheValuesOutWhereTheyAreNotWanted) {
  nn::BatchNorm1d layer(3);
  const StatisticsStream stream(layer, {.percentiles = {50}, .values = false});
  layer.forward(batch({16, 3}, 2));
  EXPECT_EQ(stream.summaries()[0].mean_gap.size(), 1U);
  EXPECT_TRUE(std::isnan(stream.summaries()[0].input[0]));
}

TEST(StatisticsStream, LetsEarlierObserversHearAndPutsThemBack) {
  nn::Sequential net{nn::BatchNorm1d(3), nn::BatchNorm1d(3)};
  auto& first = dynamic_cast<nn::BatchNorm&>(net[0]);
  auto& second = dynamic_cast<nn::BatchNorm&>(net[1]);
  int calls = 0;
  first.set_observer([&calls](const Tensor&) { ++calls; });
  {
    const StatisticsStream outer(net);
    const StatisticsStream inner(net);
    net.forward(batch({16, 3}, 2));
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(outer.last("1").mean, inner.last("1").mean);
    EXPECT_EQ(outer.last()[0].count, 16);
  }
  net.forward(batch({16, 3}, 2));
  EXPECT_EQ(calls, 2);
  EXPECT_FALSE(second.observer());
}

TEST(StatisticsStream, GoesOnListeningWhileAndAfterStatisticsAreTakenAnew) {
  nn::Sequential net{nn::BatchNorm1d(3)};
  const StatisticsStream stream(net);
  nn::recalibrate(net, [](const auto& take) { take(batch({16, 3}, 2), {}); });
  EXPECT_EQ(stream.last("0").count, 16);
  net.forward(batch({8, 3}, 2));
  EXPECT_EQ(stream.last("0").count, 8);
}

TEST(StatisticsStream, ChangesNoBits) {
  nn::Sequential net{nn::Linear(4, 5), nn::BatchNorm1d(5), nn::ReLU(), nn::Linear(5, 2)};
  net.initialize(1);
  nn::fuse(net);
  nn::Sequential alone(net);
  const StatisticsStream stream(net);
  const Tensor x = batch({16, 4}, 1);
  const Tensor y = net.forward(x), dx = net.backward(y);
  EXPECT_EQ(std::memcmp(alone.forward(x).raw(), y.raw(), y.bytes()), 0);
  EXPECT_EQ(std::memcmp(alone.backward(y).raw(), dx.raw(), dx.bytes()), 0);
}

TEST(StatisticsStream, NamesTheNearestPath) {
  nn::Sequential net{nn::BatchNorm1d(3), nn::Linear(3, 2)};
  const StatisticsStream stream(net);
  EXPECT_TRUE(contains(error_of<UsageError>([&] { stream.last("1"); }),
                       "expected the path of one of 1 batch norms, got '1'"));
}

TEST(GradientNorms, AreOfEachParameterByName) {
  nn::Sequential net{nn::Linear(2, 2)};
  net.parameters()[0].parameter->value.copy_from(Tensor::from<float>({1, -2, 2, 4}, {2, 2}));
  net.parameters()[0].parameter->grad.copy_from(Tensor::from<float>({3, 0, -4, 0}, {2, 2}));
  net.parameters()[1].parameter->grad.fill(1);
  const std::vector<GradientNorm> norms = gradient_norms(net);
  ASSERT_EQ(norms.size(), 2U);
  EXPECT_EQ(norms[0].name, "0.weight");
  EXPECT_DOUBLE_EQ(norms[0].weight, 5);
  EXPECT_DOUBLE_EQ(norms[0].gradient, 5);
  EXPECT_EQ(norms[1].name, "0.bias");
  EXPECT_DOUBLE_EQ(norms[1].gradient, std::sqrt(2.0));
}

}  // namespace
}  // namespace evenkeel::train
