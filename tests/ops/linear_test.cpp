#include <array>

#include "ops/testing.h"
#include <evenkeel/ops/linear.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr double kTolerance = 2e-6;

struct Case {
  Tensor x, weight, bias, dy;

  Case(std::int64_t n, std::int64_t k, std::int64_t m, DType dtype = DType::f64)
      : x(random_tensor({n, k}, dtype, 1)),
        weight(random_tensor({m, k}, dtype, 2)),
        bias(random_tensor({m}, dtype, 3)),
        dy(random_tensor({n, m}, dtype, 4)) {}
};

TEST(Linear, ForwardOfAWorkedExample) {
  const Tensor x = Tensor::from<double>({1, 2, 3, 4}, {2, 2});
  const Tensor weight = Tensor::from<double>({1, 10, 100, 1000, 0, -1}, {3, 2});
  const Tensor bias = Tensor::from<double>({0.5, 0, 0}, {3});
  Tensor y = poisoned({2, 3});
  linear_forward(x, weight, bias, y);
  EXPECT_EQ(values_of(y), (std::vector<double>{21.5, 2100, -2, 43.5, 4300, -4}));
}

RC_GTEST_PROP(LinearProperty, FloatAgreesWithDouble, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(0, 80);
  const auto k = *rc::gen::inRange<std::int64_t>(0, 200);
  const auto m = *rc::gen::inRange<std::int64_t>(1, 200);
  const bool with_bias = *rc::gen::arbitrary<bool>();
  const Case single(n, k, m, DType::f32);
  const auto run = [&](DType dtype) {
    const Tensor x = single.x.to(dtype);
    const Tensor weight = single.weight.to(dtype);
    const Tensor dy = single.dy.to(dtype);
    Tensor y = poisoned({n, m}, dtype);
    Tensor dx = poisoned({n, k}, dtype);
    Tensor dweight = Tensor::full({m, k}, 0.5, dtype);
    Tensor dbias = with_bias ? Tensor::full({m}, 0.5, dtype) : Tensor();
    linear_forward(x, weight, with_bias ? single.bias.to(dtype) : Tensor(), y);
    linear_backward_data(dy, weight, dx);
    linear_backward_weight(x, dy, dweight, dbias);
    return std::vector<Tensor>{y, dx, dweight, with_bias ? dbias : Tensor::zeros({0}, dtype)};
  };
  const auto got = run(DType::f32);
  const auto expected = run(DType::f64);
  for (std::size_t i = 0; i < got.size(); ++i) {
    RC_ASSERT(distance(got[i], expected[i]) < kTolerance);
  }
}

TEST(Linear, TiledShapesAgreeWithDouble) {
  for (const auto& [n, k, m] : {std::array<std::int64_t, 3>{700, 5, 3}, {3, 600, 5}, {5, 3, 600}}) {
    const Case c(n, k, m);
    Tensor y = poisoned({n, m});
    Tensor single = poisoned({n, m}, DType::f32);
    linear_forward(c.x, c.weight, c.bias, y);
    linear_forward(c.x.to(DType::f32), c.weight.to(DType::f32), c.bias.to(DType::f32), single);
    EXPECT_LT(distance(single, y), kTolerance);
  }
}

TEST(Linear, GradientsMatchCentralDifferences) {
  Case c(3, 4, 5);
  const auto loss = [&] {
    Tensor y = poisoned({3, 5});
    linear_forward(c.x, c.weight, c.bias, y);
    return dot(y, c.dy);
  };
  Tensor dx = poisoned({3, 4});
  Tensor dweight = Tensor::zeros({5, 4}, DType::f64);
  Tensor dbias = Tensor::zeros({5}, DType::f64);
  linear_backward_data(c.dy, c.weight, dx);
  linear_backward_weight(c.x, c.dy, dweight, dbias);
  EXPECT_LT(distance(dx, numerical_gradient(c.x, loss)), 1e-8);
  EXPECT_LT(distance(dweight, numerical_gradient(c.weight, loss)), 1e-8);
  EXPECT_LT(distance(dbias, numerical_gradient(c.bias, loss)), 1e-8);
}

TEST(Linear, BackwardWeightAddsToWhatIsThere) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Case c(4, 3, 2, dtype);
    Tensor once = Tensor::zeros({2, 3}, dtype);
    Tensor twice = Tensor::zeros({2, 3}, dtype);
    Tensor bias_once = Tensor::zeros({2}, dtype);
    Tensor bias_twice = Tensor::zeros({2}, dtype);
    linear_backward_weight(c.x, c.dy, once, bias_once);
    linear_backward_weight(c.x, c.dy, twice, bias_twice);
    linear_backward_weight(c.x, c.dy, twice, bias_twice);
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(values_of(twice)[i], 2 * values_of(once)[i], 1e-5);
    }
    EXPECT_NEAR(values_of(bias_twice)[1], 2 * values_of(bias_once)[1], 1e-5);
  }
}

TEST(Linear, AnEmptyBatchLeavesGradientsAlone) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Case c(0, 3, 2, dtype);
    Tensor y = Tensor::empty({0, 2}, dtype);
    Tensor dx = Tensor::empty({0, 3}, dtype);
    Tensor dweight = Tensor::full({2, 3}, 7, dtype);
    Tensor dbias = Tensor::full({2}, 7, dtype);
    linear_forward(c.x, c.weight, c.bias, y);
    linear_backward_data(c.dy, c.weight, dx);
    linear_backward_weight(c.x, c.dy, dweight, dbias);
    EXPECT_EQ(distance(dweight, Tensor::full({2, 3}, 7, dtype)), 0.0);
    EXPECT_EQ(distance(dbias, Tensor::full({2}, 7, dtype)), 0.0);
  }
}

TEST(Linear, AWrongWidthIsNamedAndNothingIsWritten) {
  const Case c(2, 3, 4, DType::f32);
  Tensor y = Tensor::full({2, 4}, 7, DType::f32);
  const Tensor wide = random_tensor({2, 5}, DType::f32);
  const auto message = message_of<ShapeError>([&] { linear_forward(wide, c.weight, c.bias, y); });
  EXPECT_EQ(message, "[linear_forward] expected x of shape [N, 3] for weight [4, 3], got [2, 5]");
  EXPECT_EQ(distance(y, Tensor::full({2, 4}, 7, DType::f32)), 0.0);
}

TEST(Linear, RefusesWrongRanksTypesAndOutputs) {
  const Case c(2, 3, 4, DType::f32);
  Tensor y = Tensor::full({2, 4}, 7, DType::f32);
  Tensor wrong = Tensor::full({2, 3}, 7, DType::f32);
  Tensor none;
  EXPECT_THROW(linear_forward(Tensor(), c.weight, c.bias, y), ShapeError);
  EXPECT_THROW(linear_forward(c.x.reshape({6}), c.weight, c.bias, y), ShapeError);
  EXPECT_THROW(linear_forward(c.x.to(DType::bf16), c.weight, c.bias, y), ShapeError);
  EXPECT_THROW(linear_forward(c.x, c.weight.to(DType::f64), c.bias, y), ShapeError);
  EXPECT_THROW(linear_forward(c.x, c.weight, c.bias.reshape({2, 2}), y), ShapeError);
  EXPECT_THROW(linear_forward(c.x, c.weight, c.bias, wrong), ShapeError);
  EXPECT_THROW(linear_forward(c.x, c.weight, c.bias, none), ShapeError);
  EXPECT_THROW(linear_backward_data(c.x, c.weight, y), ShapeError);
  EXPECT_THROW(linear_backward_weight(c.x, c.x, wrong, none), ShapeError);
  EXPECT_EQ(distance(y, Tensor::full({2, 4}, 7, DType::f32)), 0.0);
}

class LinearBits : public ::testing::TestWithParam<std::array<std::int64_t, 3>> {};

TEST_P(LinearBits, AreTheSameForAnyNumberOfThreads) {
  const auto [n, k, m] = GetParam();
  const Case c(n, k, m, DType::f32);
  const auto run = [&, n = n, k = k, m = m](int threads) {
    const Setting setting(threads, true);
    std::vector<Tensor> results{poisoned({n, m}, DType::f32), poisoned({n, k}, DType::f32),
                                Tensor::zeros({m, k}), Tensor::zeros({m})};
    linear_forward(c.x, c.weight, c.bias, results[0]);
    linear_backward_data(c.dy, c.weight, results[1]);
    linear_backward_weight(c.x, c.dy, results[2], results[3]);
    return results;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 8}) {
    const auto many = run(threads);
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(same_bits(one[i], many[i])) << "result " << i << ", " << threads << " threads";
    }
  }
}

// Ordinary layers, and long inner dimensions, which oneDNN left alone would cut between threads.
INSTANTIATE_TEST_SUITE_P(Shapes, LinearBits,
                         ::testing::Values(std::array<std::int64_t, 3>{70, 300, 210},
                                           std::array<std::int64_t, 3>{9000, 40, 10},
                                           std::array<std::int64_t, 3>{8, 9000, 10}));

}  // namespace
}  // namespace evenkeel::ops
