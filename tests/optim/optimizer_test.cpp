#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "optim/networks.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::optim {
namespace {

using testing::fill_gradients;
using testing::same_parameters;
using testing::small_network;

/// One parameter with one element, so that every rule can be followed with pencil and paper.
struct Scalar {
  nn::Parameter parameter;

  explicit Scalar(double value, DType dtype = DType::f64) {
    parameter.value = Tensor::full({1}, value, dtype);
    parameter.grad = Tensor::zeros({1}, dtype);
  }
  std::vector<ParameterGroup> group(double weight_decay = 0, double lr_scale = 1) {
    return {{{{"p", &parameter}}, weight_decay, lr_scale}};
  }
  double after(Optimizer& optimizer, double gradient, double lr) {
    parameter.grad.fill(gradient);
    optimizer.step(lr);
    return parameter.value.item();
  }
};

TEST(Sgd, WithoutMomentumMovesAgainstTheGradient) {
  Scalar p(1.0);
  Sgd sgd(p.group(), {.momentum = 0});
  EXPECT_DOUBLE_EQ(p.after(sgd, 2.0, 0.1), 0.8);
  EXPECT_DOUBLE_EQ(p.after(sgd, -1.0, 0.1), 0.9);
}

TEST(Sgd, FollowsPyTorchsMomentum) {
  Scalar p(1.0);
  Sgd sgd(p.group(), {.momentum = 0.9});
  EXPECT_DOUBLE_EQ(p.after(sgd, 2.0, 0.1), 0.8);      // v = 2
  EXPECT_DOUBLE_EQ(p.after(sgd, 1.0, 0.1), 0.52);     // v = 0.9·2 + 1 = 2.8
  EXPECT_NEAR(p.after(sgd, 0.0, 0.2), 0.016, 1e-15);  // v = 2.52, the rate is not part of v
}

TEST(Sgd, FollowsPyTorchsNesterov) {
  Scalar p(1.0);
  Sgd sgd(p.group(), {.momentum = 0.9, .nesterov = true});
  EXPECT_DOUBLE_EQ(p.after(sgd, 2.0, 0.1), 1 - 0.1 * (2 + 0.9 * 2));
  EXPECT_NEAR(p.after(sgd, 1.0, 0.1), 0.62 - 0.1 * (1 + 0.9 * 2.8), 1e-15);
}

TEST(Sgd, AddsTheWeightDecayToTheGradientBeforeTheMomentum) {
  Scalar p(2.0);
  Sgd sgd(p.group(0.5), {.momentum = 0.9});
  EXPECT_DOUBLE_EQ(p.after(sgd, 1.0, 0.1), 1.8);                            // v = 1 + 0.5·2 = 2
  EXPECT_DOUBLE_EQ(p.after(sgd, 0.0, 0.1), 1.8 - 0.1 * (1.8 + 0.5 * 1.8));  // v = 0.9·2 + 0.9
}

TEST(Sgd, ScalesTheRateOfAGroup) {
  Scalar p(1.0);
  Sgd sgd(p.group(0, 0.5), {.momentum = 0});
  EXPECT_DOUBLE_EQ(p.after(sgd, 2.0, 0.1), 0.9);
}

TEST(Sgd, RefusesMomentumOutsideItsRange) {
  Scalar p(1.0);
  EXPECT_THROW(Sgd(p.group(), {.momentum = 1.0}), UsageError);
  EXPECT_THROW(Sgd(p.group(), {.momentum = -0.1}), UsageError);
  EXPECT_THROW(Sgd(p.group(), {.momentum = 0, .nesterov = true}), UsageError);
}

TEST(AdamW, FollowsTheFormulaForThreeSteps) {
  Scalar p(1.0);
  AdamW adamw(p.group(0.1), {.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8});
  double value = 1.0, m = 0, v = 0;
  const double lr = 0.01;
  int t = 0;
  for (const double g : {0.5, -2.0, 3.0}) {
    ++t;
    m = 0.9 * m + 0.1 * g;
    v = 0.99 * v + 0.01 * g * g;
    const double mean = m / (1 - std::pow(0.9, t));
    const double square = v / (1 - std::pow(0.99, t));
    value = value * (1 - lr * 0.1) - lr * mean / (std::sqrt(square) + 1e-8);
    EXPECT_NEAR(p.after(adamw, g, lr), value, 1e-14);
  }
}

RC_GTEST_PROP(AdamW, TheFirstStepIsTheRateWhateverTheGradient, ()) {
  const double exponent = *rc::gen::inRange(-3, 6);
  const double sign = *rc::gen::element(-1.0, 1.0);
  const double lr = *rc::gen::element(1e-4, 1e-2, 0.5);
  Scalar p(0.0);
  AdamW adamw(p.group());
  const double moved = p.after(adamw, sign * std::pow(10.0, exponent), lr);
  RC_ASSERT(std::abs(moved + sign * lr) <= 1e-4 * lr);
}

TEST(AdamW, TheDecayDoesNotDependOnTheGradient) {
  Scalar p(3.0);
  AdamW adamw(p.group(0.1));
  EXPECT_DOUBLE_EQ(p.after(adamw, 0.0, 0.5), 3.0 * (1 - 0.05));
}

TEST(AdamW, RefusesBetasOutsideTheirRange) {
  Scalar p(1.0);
  EXPECT_THROW(AdamW(p.group(), {.beta1 = 1.0}), UsageError);
  EXPECT_THROW(AdamW(p.group(), {.beta2 = -0.5}), UsageError);
  EXPECT_THROW(AdamW(p.group(), {.eps = 0}), UsageError);
}

class EveryOptimizer : public ::testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<Optimizer> make(nn::Module& network) {
    return make_optimizer(GetParam(), make_groups(network, {.weight_decay = 0.01}));
  }
};

TEST_P(EveryOptimizer, ContinuesWithTheSameBitsFromItsState) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    nn::Sequential whole = small_network(dtype);
    auto first = make(whole);
    for (std::uint64_t step = 0; step < 3; ++step) {
      fill_gradients(whole, step);
      first->step(0.05);
    }
    nn::Sequential resumed = small_network(dtype);
    resumed.load_state_dict(whole.state_dict());
    auto second = make(resumed);
    second->load_state_dict(first->state_dict());
    EXPECT_EQ(second->steps(), 3);
    for (std::uint64_t step = 3; step < 6; ++step) {
      for (nn::Sequential* network : {&whole, &resumed}) fill_gradients(*network, step);
      first->step(0.02);
      second->step(0.02);
    }
    EXPECT_TRUE(same_parameters(whole, resumed));
  }
}

TEST_P(EveryOptimizer, GivesTheSameBitsForAnyNumberOfThreads) {
  const auto run = [](int threads) {
    const int before = max_threads();
    set_max_threads(threads);
    nn::Sequential network{nn::Linear(300, 200)};
    network.initialize(1);
    auto optimizer = make(network);
    for (std::uint64_t step = 0; step < 3; ++step) {
      fill_gradients(network, step);
      optimizer->step(0.05);
    }
    set_max_threads(before);
    return network;
  };
  nn::Sequential one = run(1);
  nn::Sequential three = run(3);
  EXPECT_TRUE(same_parameters(one, three));
}

TEST_P(EveryOptimizer, LeavesFrozenParametersAndTheirStateAlone) {
  nn::Sequential network = small_network();
  auto optimizer = make(network);
  network.parameters()[0].parameter->trainable = false;
  const Tensor before = network.parameters()[0].parameter->value.clone();
  const Tensor other = network.parameters()[1].parameter->value.clone();
  fill_gradients(network, 1);
  optimizer->step(0.1);
  EXPECT_EQ(
      std::memcmp(before.raw(), network.parameters()[0].parameter->value.raw(), before.bytes()), 0);
  EXPECT_NE(std::memcmp(other.raw(), network.parameters()[1].parameter->value.raw(), other.bytes()),
            0);
  for (const auto& [name, tensor] : optimizer->state_dict()) {
    if (!name.ends_with(".0.weight")) continue;
    for (const float value : tensor.span<float>()) EXPECT_EQ(value, 0.0F) << name;
  }
}

TEST_P(EveryOptimizer, LeavesTheGradientsAsTheyAre) {
  nn::Sequential network = small_network();
  auto optimizer = make(network);
  fill_gradients(network, 1);
  const Tensor before = network.parameters()[0].parameter->grad.clone();
  optimizer->step(0.1);
  EXPECT_EQ(
      std::memcmp(before.raw(), network.parameters()[0].parameter->grad.raw(), before.bytes()), 0);
}

TEST_P(EveryOptimizer, RefusesAStateOfAnotherNetworkAndKeepsItsOwn) {
  nn::Sequential network = small_network();
  auto optimizer = make(network);
  nn::Sequential other{nn::Linear(5, 7)};
  auto foreign = make(other);
  foreign->step(0.1);
  EXPECT_THROW(optimizer->load_state_dict(foreign->state_dict()), Error);
  EXPECT_EQ(optimizer->steps(), 0);
}

TEST_P(EveryOptimizer, RefusesARateThatIsNotFinite) {
  nn::Sequential network = small_network();
  auto optimizer = make(network);
  EXPECT_THROW(optimizer->step(std::numeric_limits<double>::quiet_NaN()), UsageError);
  EXPECT_THROW(optimizer->step(-0.1), UsageError);
  EXPECT_EQ(optimizer->steps(), 0);
}

TEST_P(EveryOptimizer, SaysWhenAParameterChangedItsType) {
  nn::Sequential network = small_network();
  auto optimizer = make(network);
  network.to(DType::f64);
  EXPECT_THROW(optimizer->step(0.1), StateError);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryOptimizer, ::testing::Values("sgd", "adamw"),
                         [](const auto& row) { return row.param; });

TEST(OptimizerTable, TestsCoverEveryRow) { EXPECT_EQ(optimizers().size(), 2U); }

TEST(OptimizerTable, SuggestsTheNearestName) {
  nn::Sequential network = small_network();
  try {
    make_optimizer("adamv", make_groups(network));
    FAIL() << "an unknown name was accepted";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'adamw'?"), std::string::npos);
  }
}

TEST(Optimizer, RefusesAParameterInTwoGroups) {
  Scalar p(1.0);
  std::vector<ParameterGroup> groups = p.group();
  groups.push_back(groups[0]);
  EXPECT_THROW(Sgd{groups}, UsageError);
}

TEST(Groups, KeepNormAndBiasOutOfTheDecayUnlessAsked) {
  nn::Sequential network = small_network();
  const auto names = [&](const GroupOptions& options) {
    std::string decayed;
    for (const ParameterGroup& group : make_groups(network, options)) {
      if (group.weight_decay == 0) continue;
      for (const auto& named : group.parameters) decayed += named.name + " ";
    }
    return decayed;
  };
  EXPECT_EQ(names({.weight_decay = 0.1}), "0.weight 3.weight ");
  EXPECT_EQ(names({.weight_decay = 0.1, .decay_norm = true}), "0.weight 1.weight 1.bias 3.weight ");
  EXPECT_EQ(names({.weight_decay = 0.1, .decay_bias = true}), "0.weight 0.bias 3.weight 3.bias ");
}

TEST(Groups, HoldEveryParameterOnce) {
  nn::Sequential network = small_network();
  std::size_t count = 0;
  for (const ParameterGroup& group : make_groups(network, {.weight_decay = 0.1})) {
    count += group.parameters.size();
  }
  EXPECT_EQ(count, network.parameters().size());
}

TEST(Groups, RefuseANegativeDecay) {
  nn::Sequential network = small_network();
  EXPECT_THROW(make_groups(network, {.weight_decay = -1}), UsageError);
}

}  // namespace
}  // namespace evenkeel::optim
