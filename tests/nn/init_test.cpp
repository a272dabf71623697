#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using testing::identical;

struct Spread {
  double mean, deviation, largest;
};

Spread spread_of(const Tensor& tensor) {
  const Tensor values = tensor.to(DType::f64);
  Spread result{0, 0, 0};
  const auto count = static_cast<double>(values.numel());
  for (const double v : values.span<double>()) result.mean += v / count;
  for (const double v : values.span<double>()) {
    result.deviation += (v - result.mean) * (v - result.mean) / count;
    result.largest = std::max(result.largest, std::abs(v));
  }
  result.deviation = std::sqrt(result.deviation);
  return result;
}

const Shape kWeight{100, 20, 3, 3};  // fan in 180, fan out 900; 18,000 values

TEST(Init, fans_count_the_kernel) {
  EXPECT_EQ(init::fans_of(kWeight).in, 180);
  EXPECT_EQ(init::fans_of(kWeight).out, 900);
  EXPECT_EQ(init::fans_of({10, 7}).in, 7);
  EXPECT_THROW(init::fans_of({10}), ShapeError);
}

TEST(Init, gains_are_those_of_pytorch) {
  EXPECT_EQ(init::gain(init::Nonlinearity::linear), 1);
  EXPECT_EQ(init::gain(init::Nonlinearity::sigmoid), 1);
  EXPECT_DOUBLE_EQ(init::gain(init::Nonlinearity::tanh), 5.0 / 3);
  EXPECT_DOUBLE_EQ(init::gain(init::Nonlinearity::relu), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(init::gain(init::Nonlinearity::leaky_relu, 0.2), std::sqrt(2 / 1.04));
}

TEST(Init, kaiming_has_the_deviation_of_its_fan) {
  Random random(1);
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tensor weight = Tensor::empty(kWeight, dtype);
    init::kaiming_normal(weight, random, {.mode = init::FanMode::out});
    EXPECT_NEAR(spread_of(weight).deviation, std::sqrt(2.0 / 900), 0.001);
    init::kaiming_uniform(weight, random, {.nonlinearity = init::Nonlinearity::relu});
    EXPECT_NEAR(spread_of(weight).deviation, std::sqrt(2.0 / 180), 0.002);
    EXPECT_LE(spread_of(weight).largest, std::sqrt(6.0 / 180) * (1 + 1e-6));
    EXPECT_GE(spread_of(weight).largest, std::sqrt(6.0 / 180) * 0.99);
  }
}

TEST(Init, xavier_balances_both_fans) {
  Random random(2);
  Tensor weight = Tensor::empty(kWeight);
  init::xavier_normal(weight, random, 2);
  EXPECT_NEAR(spread_of(weight).deviation, 2 * std::sqrt(2.0 / 1080), 0.002);
  EXPECT_NEAR(spread_of(weight).mean, 0, 0.003);
  init::xavier_uniform(weight, random);
  EXPECT_LE(spread_of(weight).largest, std::sqrt(6.0 / 1080) * (1 + 1e-6));
  EXPECT_GE(spread_of(weight).largest, std::sqrt(6.0 / 1080) * 0.99);
}

TEST(Init, constant_fills) {
  Tensor tensor = Tensor::empty({3});
  init::constant(tensor, 2.5);
  EXPECT_TRUE(identical(tensor, Tensor::from<float>({2.5f, 2.5f, 2.5f}, {3})));
}

TEST(Init, layers_begin_with_pytorchs_default_bounds) {
  Linear linear(64, 300);
  EXPECT_LE(spread_of(linear.weight().value).largest, 1.0 / 8);
  EXPECT_GE(spread_of(linear.weight().value).largest, 0.99 / 8);
  EXPECT_GE(spread_of(linear.bias().value).largest, 0.9 / 8);
  Conv2d conv(32, 64, {3, 2}, {.groups = 2});
  EXPECT_LE(spread_of(conv.weight().value).largest, 1 / std::sqrt(96.0) * (1 + 1e-6));
  EXPECT_GE(spread_of(conv.weight().value).largest, 0.99 / std::sqrt(96.0));
}

TEST(Init, network_draws_the_same_values_from_the_same_seed) {
  Sequential a{Linear(8, 8), ReLU(), Linear(8, 8)};
  Sequential b(a);
  a.initialize(1);
  b.initialize(2);
  EXPECT_FALSE(identical(a.parameters()[0].parameter->value, b.parameters()[0].parameter->value));
  b.initialize(1);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(identical(a.parameters()[i].parameter->value, b.parameters()[i].parameter->value));
  }
  EXPECT_FALSE(identical(a.parameters()[0].parameter->value, a.parameters()[2].parameter->value))
      << "equal layers in different places begin differently";
}

TEST(Init, works_in_double_too) {
  Linear single(8, 8);
  Linear wide(8, 8);
  wide.to(DType::f64);
  single.initialize(3);
  wide.initialize(3);
  EXPECT_EQ(wide.weight().value.dtype(), DType::f64);
  EXPECT_LE(testing::max_difference(single.weight().value, wide.weight().value), 1e-7);
}

}  // namespace
}  // namespace evenkeel::nn
