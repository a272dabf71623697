#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "train/runs.h"
#include <evenkeel/nn/nn.h>

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::error_of;

nn::Sequential network() {
  nn::Sequential net{nn::Linear(4, 6), nn::BatchNorm1d(6), nn::Tanh(), nn::Dropout(0.3),
                     nn::Linear(6, 3)};
  net.initialize(1);
  return net;
}

Tensor batch(DType dtype = DType::f32) {
  Tensor x = Tensor::empty({8, 4});
  Random(2).fill_normal(x.span<float>(), 0, 1);
  return x.to(dtype);
}
const std::vector<std::int32_t> kLabels{0, 1, 2, 0, 1, 2, 0, 1};

/// Everything that a step could change.
std::vector<std::vector<std::byte>> snapshot(nn::Module& net) {
  std::vector<std::vector<std::byte>> all;
  const auto add = [&](const Tensor& tensor) {
    const auto* const bytes = static_cast<const std::byte*>(tensor.raw());
    all.emplace_back(bytes, bytes + tensor.bytes());
  };
  for (const auto& [name, parameter] : net.parameters()) {
    add(parameter->value);
    add(parameter->grad);
  }
  for (const auto& [name, buffer] : net.buffers()) add(buffer->value);
  return all;
}

TEST(AlongGradient, OfLogisticRegressionIsWhatTheFormulaGives) {
  // L(w) for one sample x = (2), two classes, weights (a, b), no bias: log(1 + e^(2(b − a))).
  nn::Sequential net{nn::Linear(1, 2, {.bias = false})};
  net.to(DType::f64);
  net.parameters()[0].parameter->value.copy_from(Tensor::from<double>({0.3, -0.2}, {2, 1}));
  const Tensor x = Tensor::from<double>({2.0}, {1, 1});
  const std::array<std::int32_t, 1> labels{0};
  const std::array steps{0.0, 0.5, -1.0};
  const std::vector<StepPoint> points = along_gradient(net, x, labels, steps);
  ASSERT_EQ(points.size(), 3U);
  const auto slope = [](double a, double b) { return 2 / (1 + std::exp(2 * (a - b))); };
  const double g = slope(0.3, -0.2);  // ∇L = (−g, g)
  for (std::size_t i = 0; i < 3; ++i) {
    const double a = 0.3 + steps[i] * g, b = -0.2 - steps[i] * g;
    EXPECT_EQ(points[i].step, steps[i]);
    EXPECT_NEAR(points[i].loss, std::log1p(std::exp(2 * (b - a))), 1e-12);
    EXPECT_NEAR(points[i].gradient_distance, std::sqrt(2.0) * std::abs(slope(a, b) - g), 1e-12);
    EXPECT_NEAR(points[i].cosine, 1, 1e-12);
    EXPECT_NEAR(points[i].moved, std::sqrt(2.0) * g * std::abs(steps[i]), 1e-12);
  }
}

TEST(AlongGradient, AtNoStepIsTheGradientItself) {
  nn::Sequential net = network();
  const std::vector<StepPoint> points =
      along_gradient(net, batch(), kLabels, std::array{0.0, 0.4, 0.0});
  // Dropout draws the same at each point, so that the first and the last are the same.
  for (const std::size_t i : {0U, 2U}) {
    EXPECT_EQ(points[i].gradient_distance, 0);
    EXPECT_NEAR(points[i].cosine, 1, 1e-12);
    EXPECT_EQ(points[i].loss, points[0].loss);
  }
  EXPECT_LT(points[1].loss, points[0].loss);
  EXPECT_GT(points[1].gradient_distance, 0);
  EXPECT_LT(points[1].cosine, 1);
}

TEST(AlongGradient, LeavesTheNetworkAsItWas) {
  nn::Sequential net = network();
  const Tensor y = net.forward(batch());
  const Tensor dy = Tensor::full(y.shape(), 0.5);
  net[1].eval();
  int heard = 0;
  net[0].set_watch({[&heard](const Tensor&) { ++heard; }, {}});
  const auto before = snapshot(net);
  along_gradient(net, batch(), kLabels, std::array{0.1, 0.2});
  EXPECT_EQ(snapshot(net), before);
  EXPECT_FALSE(net[1].training());
  EXPECT_TRUE(net[3].training());
  EXPECT_EQ(heard, 0);
  EXPECT_NO_THROW(net.backward(dy)) << "what was saved for backward is still there";
}

TEST(AlongGradient, LeavesTheNetworkAsItWasWhereItThrows) {
  nn::Sequential net = network();
  const auto before = snapshot(net);
  const std::vector<std::int32_t> wrong{0, 1, 2, 0, 1, 2, 0, 5};
  EXPECT_NE(error_of<Error>([&] { along_gradient(net, batch(), wrong, std::array{0.1}); }),
            "no error");
  EXPECT_EQ(snapshot(net), before);
  EXPECT_TRUE(net.training());
}

TEST(AlongGradient, DoesNotMoveWhatIsFrozen) {
  nn::Sequential net = network();
  const auto moved = [&] {
    return along_gradient(net, batch(), kLabels, std::array{1.0})[0].moved;
  };
  const double all = moved();
  for (const auto& [name, parameter] : net.parameters()) parameter->trainable = name == "4.bias";
  EXPECT_LT(moved(), all);
  EXPECT_GT(moved(), 0);
}

}  // namespace
}  // namespace evenkeel::train
