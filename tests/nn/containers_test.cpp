#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/identity.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

using testing::check_gradients;
using testing::identical;
using testing::kGradientTolerance;
using testing::max_difference;
using testing::message_of;
using testing::random_tensor;

std::vector<std::string> names_of(Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : module.state_dict()) names.push_back(name);
  return names;
}

Sequential small_net() {
  Sequential net{Linear(5, 4), Tanh(), Linear(4, 3)};
  net.initialize(1);
  return net;
}

TEST(Sequential, applies_its_layers_in_order) {
  Sequential net = small_net();
  auto a = net[0].clone();
  auto b = net[1].clone();
  auto c = net[2].clone();
  const Tensor x = random_tensor({6, 5}, 1);
  const Tensor y = net.forward(x);
  EXPECT_TRUE(identical(y, c->forward(b->forward(a->forward(x)))));
  EXPECT_TRUE(identical(net.backward(y), a->backward(b->backward(c->backward(y)))));
  EXPECT_TRUE(identical(net.parameters()[0].parameter->grad, a->parameters()[0].parameter->grad));
}

TEST(Sequential, gradients_are_those_of_central_differences) {
  Sequential net = small_net();
  const auto report = check_gradients(net, random_tensor({6, 5}, 1, DType::f64));
  EXPECT_LE(report.error, kGradientTolerance) << report.where;
}

TEST(Sequential, copying_is_not_nesting) {
  Sequential net = small_net();
  Sequential copy(net);
  Sequential braced{net};
  EXPECT_EQ(copy.size(), 3u);
  EXPECT_EQ(braced.size(), 3u);
  copy[0].parameters()[0].parameter->value.fill(0);
  EXPECT_NE(net[0].parameters()[0].parameter->value.data<float>()[0], 0);
}

TEST(Sequential, takes_layers_by_value_by_reference_and_by_pointer) {
  const Linear shared(3, 3);
  Sequential net{shared, std::make_unique<ReLU>(), Sequential{Linear(3, 2)}};
  net.add(Tanh()).add(std::make_unique<Identity>());
  EXPECT_EQ(names_of(net),
            (std::vector<std::string>{"0.weight", "0.bias", "2.0.weight", "2.0.bias"}));
  EXPECT_EQ(net.size(), 5u);
  EXPECT_THROW(net.add(std::unique_ptr<Module>()), UsageError);
}

TEST(Sequential, empty_one_hands_its_input_through) {
  Sequential net;
  const Tensor x = random_tensor({2, 2}, 1);
  EXPECT_EQ(net.forward(x).raw(), x.raw());
  EXPECT_EQ(net.output_shape({2, 2}), Shape({2, 2}));
}

TEST(Sequential, shape_error_comes_before_any_layer_has_run) {
  Sequential net{Dropout(0.5), Linear(5, 4), Linear(3, 2)};
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(random_tensor({2, 5}, 1));
            }),
            "[Linear 2] expected [N, 3], got [2, 4]; make it Linear(4, 2) or change its input");
  EXPECT_EQ(net.buffers()[0].buffer->value.data<std::int64_t>()[2], 0) << "dropout has drawn";
  EXPECT_THROW(net[1].backward(random_tensor({2, 4}, 1)), StateError);
}

TEST(Sequential, moving_keeps_names_and_state) {
  Sequential net = small_net();
  const Tensor x = random_tensor({2, 5}, 1);
  const Tensor y = net.forward(x);
  Sequential outer{std::move(net), ReLU()};
  EXPECT_EQ(outer[0].child(0).label(), "Linear 0.0");
  EXPECT_TRUE(identical(outer[0].forward(x), y));
}

TEST(Sequential, replaces_a_layer_in_its_place) {
  Sequential net = small_net();
  net.replace(1, std::make_unique<Identity>());
  EXPECT_EQ(net[1].label(), "Identity 1");
  EXPECT_THROW(net.replace(3, std::make_unique<Identity>()), UsageError);
}

TEST(NeedsInputGradient, skips_what_lies_before_the_first_parameters) {
  Sequential net{Flatten(), ReLU(), Linear(4, 3), Tanh(), Linear(3, 2)};
  net.initialize(1);
  Sequential full(net);
  net.set_needs_input_gradient(false);
  const Tensor x = random_tensor({5, 1, 2, 2}, 1);
  const Tensor y = net.forward(x);
  EXPECT_TRUE(identical(y, full.forward(x)));
  EXPECT_FALSE(net.backward(y).defined());
  EXPECT_TRUE(full.backward(y).defined());
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(
        identical(net.parameters()[i].parameter->grad, full.parameters()[i].parameter->grad));
  }
  EXPECT_THROW(net[1].backward(x), StateError) << "nothing was saved where nothing is needed";
}

TEST(NeedsInputGradient, reaches_layers_added_later) {
  Sequential net;
  net.set_needs_input_gradient(false);
  net.add(Linear(3, 2)).add(Linear(2, 2));
  EXPECT_FALSE(net[0].needs_input_gradient());
  EXPECT_TRUE(net[1].needs_input_gradient());
}

TEST(NeedsInputGradient, container_without_parameters_is_skipped_as_a_whole) {
  Sequential net{Residual(Sequential{ReLU()}), Concat{Tanh(), Identity()}, Linear(6, 2)};
  net.initialize(1);
  net.set_needs_input_gradient(false);
  const Tensor y = net.forward(random_tensor({4, 3}, 1));
  EXPECT_FALSE(net.backward(y).defined());
}

TEST(NeedsInputGradient, branches_without_parameters_are_skipped) {
  Residual net(Conv2d(2, 2, 3, {.padding = 1}), AvgPool2d(3, {.stride = 1, .padding = 1}),
               ops::ActivationKind::relu);
  Residual full(net);
  net.set_needs_input_gradient(false);
  const Tensor x = random_tensor({2, 2, 4, 4}, 1);
  const Tensor y = net.forward(x);
  full.forward(x);
  EXPECT_FALSE(net.backward(y).defined());
  full.backward(y);
  EXPECT_TRUE(identical(net.parameters()[0].parameter->grad, full.parameters()[0].parameter->grad));
}

TEST(Residual, adds_the_input_to_the_body) {
  Residual net(Sequential{Linear(3, 3), Tanh()});
  net.initialize(1);
  auto body = net.body().clone();
  const Tensor x = random_tensor({4, 3}, 1);
  Tensor expected = Tensor::like(x);
  ops::add(body->forward(x), x, expected);
  EXPECT_TRUE(identical(net.forward(x), expected));
  EXPECT_FALSE(net.has_shortcut());
  EXPECT_EQ(net.child_count(), 1u);
  EXPECT_FALSE(net.activation().has_value());
}

TEST(Residual, adds_its_shortcut_and_applies_the_activation) {
  Residual net(Linear(3, 2), Linear(3, 2), ops::ActivationKind::relu);
  net.initialize(1);
  const Tensor x = random_tensor({4, 3}, 1);
  Tensor expected = Tensor::empty({4, 2});
  ops::add(net.body().clone()->forward(x), net.shortcut().clone()->forward(x), expected);
  ops::activation_forward(ops::ActivationKind::relu, expected, expected);
  EXPECT_TRUE(identical(net.forward(x), expected));
  EXPECT_EQ(names_of(net), (std::vector<std::string>{"body.weight", "body.bias", "shortcut.weight",
                                                     "shortcut.bias"}));
}

TEST(Residual, gradients_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Residual identity(Sequential{Conv2d(2, 2, 3, {.padding = 1}), Tanh()});
    Residual projected(Conv2d(2, 3, 3, {.stride = 2, .padding = 1}), Conv2d(2, 3, 1, {.stride = 2}),
                       ops::ActivationKind::sigmoid);
    const Tensor x = random_tensor({2, 2, 4, 3}, 1, DType::f64, layout);
    for (Module* net : {static_cast<Module*>(&identity), static_cast<Module*>(&projected)}) {
      net->initialize(2);
      const auto report = check_gradients(*net, x);
      EXPECT_LE(report.error, kGradientTolerance) << report.where;
    }
  }
}

TEST(Residual, leaky_relu_behind_the_sum_has_its_slope_fused_or_not) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Residual plain(Sequential{Conv2d(2, 2, 3, {.padding = 1}), BatchNorm2d(2)},
                   ops::ActivationKind::leaky_relu, 0.25);
    plain.initialize(2);
    Residual fused(plain);
    EXPECT_EQ(nn::fuse(fused), 1);
    EXPECT_EQ(fused.options().get("negative_slope", 0.0), 0.25);
    const Tensor x = random_tensor({3, 2, 4, 3}, 1, DType::f32, layout);
    const Tensor dy = random_tensor({3, 2, 4, 3}, 2, DType::f32, layout);
    const Tensor y = plain.forward(x);
    Tensor expected = Tensor::like(x);
    const auto body = plain.body().clone();
    ops::add(body->forward(x), x, expected);
    ops::activation_forward(ops::ActivationKind::leaky_relu, expected, expected, 0.25);
    EXPECT_TRUE(identical(y, expected));
    EXPECT_TRUE(identical(fused.forward(x), y));
    EXPECT_TRUE(identical(fused.backward(dy), plain.backward(dy)));
    for (Module* net : {static_cast<Module*>(&plain), static_cast<Module*>(&fused)}) {
      const auto report = check_gradients(*net, random_tensor({3, 2, 4, 3}, 1, DType::f64, layout));
      EXPECT_LE(report.error, kGradientTolerance) << report.where;
    }
  }
  EXPECT_THROW(Residual(Identity(), ops::ActivationKind::leaky_relu, 0.0), UsageError);
}

TEST(Residual, body_that_hands_its_gradient_through_does_not_spoil_it) {
  Residual net{Identity()};
  const Tensor x = random_tensor({2, 3}, 1);
  const Tensor dy = random_tensor({2, 3}, 2);
  const Tensor before = dy.clone();
  net.forward(x);
  const Tensor dx = net.backward(dy);
  EXPECT_TRUE(identical(dy, before));
  Tensor twice = Tensor::like(dy);
  ops::add(dy, dy, twice);
  EXPECT_TRUE(identical(dx, twice));
}

TEST(Residual, shapes_that_cannot_be_added_are_explained) {
  Residual net(Linear(3, 2));
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(random_tensor({4, 3}, 1));
            }),
            "[Residual] expected body and shortcut of one shape to add, got [4, 2] and [4, 3]");
  EXPECT_THROW(Residual(std::unique_ptr<Module>()), UsageError);
  EXPECT_THROW(net.shortcut(), UsageError);
}

TEST(Concat, puts_branches_side_by_side) {
  Concat net{Conv2d(2, 3, 1), MaxPool2d(3, {.stride = 1, .padding = 1})};
  net.initialize(1);
  const Tensor x = random_tensor({2, 2, 4, 4}, 1);
  Tensor expected = Tensor::empty({2, 5, 4, 4});
  const std::vector<Tensor> parts{net.child(0).clone()->forward(x),
                                  net.child(1).clone()->forward(x)};
  ops::concat_channels(parts, expected);
  EXPECT_TRUE(identical(net.forward(x), expected));
  EXPECT_EQ(net.output_shape(x.shape()), expected.shape());
}

TEST(Concat, gradients_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    Concat net{Conv2d(2, 3, 1), Identity(), AvgPool2d(3, {.stride = 1, .padding = 1})};
    net.initialize(1);
    const auto report = check_gradients(net, random_tensor({2, 2, 3, 3}, 1, DType::f64, layout));
    EXPECT_LE(report.error, kGradientTolerance) << report.where;
  }
}

TEST(Concat, branches_must_agree_but_for_channels) {
  Concat net{Conv2d(2, 3, 1), Conv2d(2, 3, 3)};
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(random_tensor({2, 2, 4, 4}, 1));
            }),
            "[Concat] expected branches that give [N, C, spatial...] that differ in C alone, got "
            "[2, 3, 4, 4] and [2, 3, 2, 2]");
  EXPECT_THROW((void)Concat().output_shape({1, 2}), UsageError);
}

TEST(Containers, nested_children_have_dotted_paths) {
  Sequential net{
      Conv2d(2, 2, 1), ReLU(), Identity(),
      Residual(Sequential{Identity(), Conv2d(2, 2, 3, {.padding = 1})}, Conv2d(2, 2, 1))};
  EXPECT_EQ(names_of(net),
            (std::vector<std::string>{"0.weight", "0.bias", "3.body.1.weight", "3.body.1.bias",
                                      "3.shortcut.weight", "3.shortcut.bias"}));
  EXPECT_EQ(net[3].child(0).child(1).label(), "Conv2d 3.body.1");
}

TEST(Containers, modes_reach_every_layer) {
  Sequential net{Residual(Sequential{Linear(3, 3), Dropout(0.5)}), Concat{Dropout(0.5)}};
  const auto count_training = [&] {
    int count = 0;
    net.visit([&](const std::string&, Module& module) { count += module.training() ? 1 : 0; });
    return count;
  };
  EXPECT_EQ(count_training(), 7);
  net.eval();
  EXPECT_EQ(count_training(), 0);
}

TEST(Containers, eval_mode_saves_nothing_unless_asked) {
  Sequential net{Residual(Linear(3, 3), ops::ActivationKind::relu), Concat{Identity(), Tanh()}};
  net.eval();
  const Tensor x = random_tensor({2, 3}, 1);
  const Tensor y = net.forward(x);
  EXPECT_THROW(net.backward(y), StateError);
  net.keep_for_backward();
  net.forward(x);
  EXPECT_TRUE(net.backward(y).defined());
}

TEST(Containers, shared_module_called_twice_is_taken_back_twice) {
  Sequential net{Residual(Linear(3, 3), ops::ActivationKind::tanh), Concat{Identity(), Tanh()}};
  net.initialize(1);
  Sequential reference(net);
  const Tensor a = random_tensor({2, 3}, 1);
  const Tensor b = random_tensor({4, 3}, 2);
  const Tensor da = random_tensor({2, 6}, 3);
  const Tensor db = random_tensor({4, 6}, 4);
  net.forward(a);
  net.forward(b);
  const Tensor dx_b = net.backward(db);
  const Tensor dx_a = net.backward(da);
  reference.forward(b);
  EXPECT_TRUE(identical(dx_b, reference.backward(db)));
  reference.forward(a);
  EXPECT_TRUE(identical(dx_a, reference.backward(da)));
  EXPECT_TRUE(
      identical(net.parameters()[0].parameter->grad, reference.parameters()[0].parameter->grad));
}

}  // namespace
}  // namespace evenkeel::nn
