#include "ops/testing.h"
#include <evenkeel/ops/gelu.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

double cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0)); }

/// From −30 to 30, and 0 and −0.
Tensor sweep() {
  std::vector<float> values{0.0f, -0.0f};
  for (int i = -30000; i <= 30000; ++i) values.push_back(static_cast<float>(i) * 1.001e-3f);
  return Tensor::from<float>(std::span<const float>(values),
                             {static_cast<std::int64_t>(values.size())});
}

TEST(Gelu, FloatIsWhatTheHeaderSays) {
  const Tensor x = sweep();
  Tensor y = poisoned(x.shape(), DType::f32);
  Tensor dx = y.clone();
  gelu_forward(x, y);
  gelu_backward(x, Tensor::full(x.shape(), 1), dx);
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const auto v = static_cast<double>(x.data<float>()[i]);
    const double bound = 2e-7 * std::max(1.0, std::abs(v));
    EXPECT_NEAR(static_cast<double>(y.data<float>()[i]), v * cdf(v), bound) << v;
    EXPECT_NEAR(static_cast<double>(dx.data<float>()[i]), cdf(v) + v * density(v), bound) << v;
  }
}

TEST(Gelu, KeepsItsDigitsFarBelowZero) {
  const Tensor x = Tensor::from({-3.0f, -5.0f, -8.0f}, {3});
  Tensor y = poisoned(x.shape(), DType::f32);
  gelu_forward(x, y);
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto v = static_cast<double>(x.data<float>()[i]);
    EXPECT_NEAR(static_cast<double>(y.data<float>()[i]) / (v * cdf(v)), 1, 3e-6);
  }
}

TEST(Gelu, GradientIsThatOfCentralDifferences) {
  Tensor x = random_tensor({40});
  const Tensor dy = random_tensor({40}, DType::f64, 2);
  Tensor dx = poisoned(x.shape());
  gelu_backward(x, dy, dx);
  const Tensor expected = numerical_gradient(x, [&] {
    Tensor y = Tensor::like(x);
    gelu_forward(x, y);
    return dot(y, dy);
  });
  EXPECT_LE(distance(dx, expected), 1e-9);
}

TEST(Gelu, NanStaysNanAndInfinityIsItself) {
  const float nan = std::nanf("");
  const float inf = std::numeric_limits<float>::infinity();
  Tensor x = Tensor::from({nan, inf, 1.0f}, {3});
  gelu_forward(x, x);
  EXPECT_TRUE(std::isnan(x.data<float>()[0]));
  EXPECT_EQ(x.data<float>()[1], inf);
  EXPECT_FLOAT_EQ(x.data<float>()[2], 0.841344746f);
}

TEST(Gelu, RefusesWhatDoesNotFit) {
  Tensor x = random_tensor({4});
  Tensor other = random_tensor({5});
  EXPECT_THROW(gelu_forward(x, other), ShapeError);
  Tensor overlapping = x.slice(1, 4);
  EXPECT_THROW(gelu_forward(x.slice(0, 3), overlapping), UsageError);
}

}  // namespace
}  // namespace evenkeel::ops
