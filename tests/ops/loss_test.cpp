#include "ops/testing.h"
#include <evenkeel/ops/loss.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(CrossEntropy, OfAWorkedExample) {
  // Odds 1:3 and a label on the rarer class, then on the more frequent one.
  const Tensor logits = Tensor::from<double>({0.0, std::log(3.0), 0.0, std::log(3.0)}, {2, 2});
  const std::vector<std::int32_t> labels{0, 1};
  Tensor gradient = poisoned({2, 2});
  const double loss = softmax_cross_entropy(logits, labels, 0.0, &gradient);
  EXPECT_NEAR(loss, (std::log(4.0) + std::log(4.0 / 3.0)) / 2, 1e-15);
  const auto values = values_of(gradient);
  EXPECT_NEAR(values[0], (0.25 - 1) / 2, 1e-15);
  EXPECT_NEAR(values[1], 0.75 / 2, 1e-15);
  EXPECT_NEAR(values[2], 0.25 / 2, 1e-15);
  EXPECT_NEAR(values[3], (0.75 - 1) / 2, 1e-15);
}

TEST(CrossEntropy, GradientMatchesCentralDifferences) {
  Tensor logits = random_tensor({5, 7});
  const std::vector<std::int32_t> labels{0, 6, 3, 3, 1};
  for (const double smoothing : {0.0, 0.1, 1.0}) {
    Tensor gradient = poisoned({5, 7});
    softmax_cross_entropy(logits, labels, smoothing, &gradient);
    const auto loss = [&] { return softmax_cross_entropy(logits, labels, smoothing, nullptr); };
    EXPECT_LT(distance(gradient, numerical_gradient(logits, loss)), 1e-8);
  }
}

TEST(CrossEntropy, FloatAgreesWithDoubleAndWorksInPlace) {
  const Tensor logits = random_tensor({300, 11});
  std::vector<std::int32_t> labels(300);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 11);
  Tensor expected = poisoned({300, 11});
  const double loss = softmax_cross_entropy(logits, labels, 0.1, &expected);
  Tensor single = logits.to(DType::f32);
  EXPECT_NEAR(softmax_cross_entropy(single, labels, 0.1, &single), loss, 1e-6);
  EXPECT_LT(distance(single, expected), 1e-8);
}

TEST(CrossEntropy, HugeLogitsStayFinite) {
  const Tensor logits = Tensor::from<float>({3e38f, -3e38f, 0.0f}, {1, 3});
  const std::vector<std::int32_t> labels{0};
  Tensor gradient = poisoned({1, 3}, DType::f32);
  EXPECT_EQ(softmax_cross_entropy(logits, labels, 0.0, &gradient), 0.0);
  EXPECT_EQ(values_of(gradient), (std::vector<double>{0, 0, 0}));
}

TEST(CrossEntropy, AnExcludedClassDoesNotSpoilTheOthers) {
  const Tensor logits = Tensor::from<double>({0.0, 0.0, -kInfinity}, {1, 3});
  const std::vector<std::int32_t> labels{1};
  Tensor gradient = poisoned({1, 3});
  EXPECT_NEAR(softmax_cross_entropy(logits, labels, 0.0, &gradient), std::log(2.0), 1e-15);
  EXPECT_EQ(values_of(gradient)[2], 0.0);
}

TEST(CrossEntropy, ANaNStaysInItsRow) {
  const Tensor logits = Tensor::from<double>({0.0, std::nan(""), 0.0, 0.0}, {2, 2});
  const std::vector<std::int32_t> labels{0, 0};
  Tensor gradient = Tensor::zeros({2, 2}, DType::f64);
  EXPECT_TRUE(std::isnan(softmax_cross_entropy(logits, labels, 0.0, &gradient)));
  EXPECT_TRUE(std::isnan(values_of(gradient)[0]));
  EXPECT_EQ(values_of(gradient)[2], -0.25);
}

TEST(CrossEntropy, AnEmptyBatchCostsNothing) {
  Tensor gradient = Tensor::empty({0, 4}, DType::f32);
  EXPECT_EQ(softmax_cross_entropy(Tensor::empty({0, 4}, DType::f32), {}, 0.0, &gradient), 0.0);
}

TEST(CrossEntropy, ALabelOutOfRangeIsNamedWithItsRow) {
  const Tensor logits = random_tensor({3, 10}, DType::f32);
  Tensor gradient = Tensor::full({3, 10}, 7, DType::f32);
  const std::vector<std::int32_t> labels{1, 2, 10};
  const std::vector<std::int32_t> negative{1, -1, 2};
  EXPECT_EQ(message_of<ShapeError>([&] { softmax_cross_entropy(logits, labels, 0.0, &gradient); }),
            "[softmax_cross_entropy] expected labels in [0, 10), got 10 in row 2");
  EXPECT_THROW(softmax_cross_entropy(logits, negative, 0.0, &gradient), ShapeError);
  EXPECT_THROW(softmax_cross_entropy(logits, std::span(labels).first(2), 0.0, &gradient),
               ShapeError);
  EXPECT_THROW(softmax_cross_entropy(logits, std::span(labels).first(2), 2.0, &gradient),
               UsageError);
  EXPECT_EQ(distance(gradient, Tensor::full({3, 10}, 7, DType::f32)), 0.0);
}

TEST(CrossEntropy, SameBitsForAnyNumberOfThreads) {
  const Tensor logits = random_tensor({2000, 50}, DType::f32);
  const std::vector<std::int32_t> labels(2000, 7);
  const auto run = [&](int threads) {
    const Setting setting(threads);
    return softmax_cross_entropy(logits, labels, 0.1, nullptr);
  };
  const double one = run(1);
  for (const int threads : {2, 3, 8}) EXPECT_EQ(run(threads), one);
}

TEST(Softmax, RowsSumToOneAndKeepTheirOrder) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor logits = random_tensor({40, 9}, dtype);
    Tensor p = poisoned({40, 9}, dtype);
    softmax(logits, p);
    const auto x = values_of(logits);
    const auto y = values_of(p);
    for (std::size_t row = 0; row < 40; ++row) {
      double sum = 0.0;
      for (std::size_t j = 0; j < 9; ++j) sum += y[row * 9 + j];
      EXPECT_NEAR(sum, 1.0, 1e-6);
      EXPECT_NEAR(std::log(y[row * 9] / y[row * 9 + 1]), x[row * 9] - x[row * 9 + 1], 1e-5);
    }
  }
}

TEST(MeanSquaredError, ValueAndGradient) {
  Tensor y = random_tensor({30, 400}, DType::f64, 1);
  const Tensor target = random_tensor({30, 400}, DType::f64, 2);
  Tensor dy = poisoned(y.shape());
  const double loss = mean_squared_error(y, target, &dy);
  const auto a = values_of(y);
  const auto b = values_of(target);
  const auto gradient = values_of(dy);
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
    ASSERT_NEAR(gradient[i], 2 * (a[i] - b[i]) / 12000, 1e-15);
  }
  EXPECT_NEAR(loss, sum / 12000, 1e-12);
  EXPECT_NEAR(mean_squared_error(y.to(DType::f32), target.to(DType::f32), nullptr), loss, 1e-6);
}

TEST(MeanSquaredError, SameBitsForAnyNumberOfThreads) {
  const Tensor y = random_tensor({300, 401}, DType::f32, 1);
  const Tensor target = random_tensor({300, 401}, DType::f32, 2);
  const auto run = [&](int threads) {
    const Setting setting(threads);
    return mean_squared_error(y, target, nullptr);
  };
  const double one = run(1);
  for (const int threads : {2, 3, 8}) EXPECT_EQ(run(threads), one);
}

TEST(MeanSquaredError, RefusesOtherShapesAndIgnoresEmptyOnes) {
  const Tensor y = random_tensor({3, 4}, DType::f32);
  Tensor dy = Tensor::full({3, 4}, 7, DType::f32);
  EXPECT_THROW(mean_squared_error(y, random_tensor({4, 3}, DType::f32), &dy), ShapeError);
  EXPECT_EQ(distance(dy, Tensor::full({3, 4}, 7, DType::f32)), 0.0);
  const Tensor none = Tensor::empty({0, 4}, DType::f32);
  EXPECT_EQ(mean_squared_error(none, none, nullptr), 0.0);
}

}  // namespace
}  // namespace evenkeel::ops
