#include "ops/testing.h"
#include <evenkeel/ops/activation.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr ActivationKind kAll[] = {ActivationKind::relu, ActivationKind::leaky_relu,
                                   ActivationKind::sigmoid, ActivationKind::tanh};

double expected_value(ActivationKind kind, double x, double slope) {
  switch (kind) {
    case ActivationKind::relu:
      return x > 0 ? x : 0;
    case ActivationKind::leaky_relu:
      return x > 0 ? x : slope * x;
    case ActivationKind::sigmoid:
      return 1 / (1 + std::exp(-x));
    case ActivationKind::tanh:
      break;
  }
  return std::tanh(x);
}

/// The distance of two floats in units of the last place of the second.
double ulps(float got, double expected) {
  const auto rounded = static_cast<float>(std::abs(expected));
  const double unit = static_cast<double>(
      std::nextafter(rounded, std::numeric_limits<float>::infinity()) - rounded);
  return std::abs(static_cast<double>(got) - expected) / unit;
}

/// Values from tiny to huge, of both signs.
std::vector<float> sweep() {
  std::vector<float> values{0.0f, -0.0f};
  for (double magnitude = 1e-30; magnitude < 300.0; magnitude *= 1.0037) {
    values.push_back(static_cast<float>(magnitude));
    values.push_back(static_cast<float>(-magnitude));
  }
  return values;
}

TEST(Activation, FloatIsWithinAFewUnitsInTheLastPlace) {
  const auto values = sweep();
  const Tensor x = Tensor::from<float>(std::span<const float>(values),
                                       {static_cast<std::int64_t>(values.size())});
  for (const ActivationKind kind : kAll) {
    Tensor y = poisoned(x.shape(), DType::f32);
    activation_forward(kind, x, y, 0.125);
    double worst = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double exact = expected_value(kind, static_cast<double>(values[i]), 0.125);
      worst = std::max(worst, ulps(y.span<float>()[i], exact));
    }
    EXPECT_LT(worst, 4.0) << "kind " << static_cast<int>(kind);
  }
}

TEST(Activation, SaturatesAtInfinityAndKeepsNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from<float>({infinity, -infinity, std::nanf("")}, {3});
  const std::vector<std::vector<double>> limits{
      {HUGE_VAL, 0}, {HUGE_VAL, -HUGE_VAL}, {1, 0}, {1, -1}};
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (std::size_t kind = 0; kind < 4; ++kind) {
      Tensor y = Tensor::zeros({3}, dtype);
      activation_forward(kAll[kind], x.to(dtype), y);
      EXPECT_EQ(values_of(y)[0], limits[kind][0]) << kind;
      EXPECT_EQ(values_of(y)[1], limits[kind][1]) << kind;
      EXPECT_TRUE(std::isnan(values_of(y)[2])) << kind;
    }
  }
}

TEST(Activation, BackwardMatchesCentralDifferences) {
  for (const ActivationKind kind : kAll) {
    Tensor x = random_tensor({7, 5});
    for (double& value : x.span<double>()) value += value < 0 ? -0.01 : 0.01;  // away from the kink
    const Tensor dy = random_tensor({7, 5}, DType::f64, 2);
    Tensor y = poisoned({7, 5});
    const auto loss = [&] {
      activation_forward(kind, x, y, 0.2);
      return dot(y, dy);
    };
    const Tensor expected = numerical_gradient(x, loss);
    loss();
    Tensor dx = poisoned({7, 5});
    activation_backward(kind, y, dy, dx, 0.2);
    EXPECT_LT(distance(dx, expected), 1e-8);
    Tensor single = poisoned({7, 5}, DType::f32);
    activation_backward(kind, y.to(DType::f32), dy.to(DType::f32), single, 0.2);
    EXPECT_LT(distance(single, dx), 1e-6);
  }
}

TEST(Activation, DerivativesAtZero) {
  const Tensor zero = Tensor::zeros({1}, DType::f32);
  const Tensor one = Tensor::full({1}, 1, DType::f32);
  Tensor dx = poisoned({1}, DType::f32);
  activation_backward(ActivationKind::relu, zero, one, dx);
  EXPECT_EQ(dx.item(), 0.0);
  activation_backward(ActivationKind::leaky_relu, zero, one, dx, 0.25);
  EXPECT_EQ(dx.item(), 0.25);
}

TEST(Activation, WorksInPlace) {
  for (const ActivationKind kind : kAll) {
    const Tensor x = random_tensor({3, 40000}, DType::f32);
    const Tensor dy = random_tensor({3, 40000}, DType::f32, 2);
    Tensor y = poisoned(x.shape(), DType::f32);
    Tensor dx = poisoned(x.shape(), DType::f32);
    activation_forward(kind, x, y);
    activation_backward(kind, y, dy, dx);
    Tensor same = x.clone();
    Tensor gradient = dy.clone();
    activation_forward(kind, same, same);
    activation_backward(kind, same, gradient, gradient);
    EXPECT_TRUE(same_bits(same, y));
    EXPECT_TRUE(same_bits(gradient, dx));
  }
}

TEST(Activation, RefusesOtherShapesLayoutsAndSlopes) {
  const Tensor x = random_tensor({2, 3, 4}, DType::f32);
  Tensor narrow = Tensor::full({2, 3, 3}, 7, DType::f32);
  Tensor last = Tensor::full({2, 3, 4}, 7, DType::f32, Layout::channels_last);
  Tensor y = Tensor::full({2, 3, 4}, 7, DType::f32);
  EXPECT_THROW(activation_forward(ActivationKind::relu, x, narrow), ShapeError);
  EXPECT_THROW(activation_forward(ActivationKind::relu, x, last), ShapeError);
  EXPECT_THROW(activation_forward(ActivationKind::leaky_relu, x, y, -1.0), UsageError);
  EXPECT_THROW(activation_backward(ActivationKind::tanh, x, narrow, y), ShapeError);
  EXPECT_EQ(distance(y, Tensor::full({2, 3, 4}, 7, DType::f32)), 0.0);
}

}  // namespace
}  // namespace evenkeel::ops
