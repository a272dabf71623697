// What the layers of the row geometry promise beyond the layer table's tests: equivalences, running
// statistics, the inputs they take and the messages of their refusals.
#include <cmath>

#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include "nn/tensors.h"
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/group_norm.h>
#include <evenkeel/nn/layers/instance_norm.h>
#include <evenkeel/nn/layers/layer_norm.h>
#include <evenkeel/nn/layers/rms_norm.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::random_tensor;

constexpr Layout kFirst = Layout::channels_first;
constexpr Layout kLast = Layout::channels_last;

std::vector<std::string> names_of(Module& layer) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : layer.state_dict()) names.push_back(name);
  return names;
}

void set_parameters(Module& layer, std::uint64_t seed) {
  for (const auto& [name, parameter] : layer.parameters()) {
    parameter->value.copy_from(random_tensor(parameter->value.shape(), ++seed));
  }
}

TEST(RowLayers, have_the_state_that_pytorch_names) {
  using Names = std::vector<std::string>;
  LayerNorm layer({3, 4});
  EXPECT_EQ(names_of(layer), (Names{"weight", "bias"}));
  EXPECT_EQ(layer.state_dict()[0].second.shape(), (Shape{3, 4}));
  LayerNorm without_bias({4}, {.bias = false});
  EXPECT_EQ(names_of(without_bias), (Names{"weight"}));
  LayerNorm plain({4}, {.elementwise_affine = false});
  EXPECT_EQ(names_of(plain), Names{});
  RMSNorm rms({4});
  EXPECT_EQ(names_of(rms), (Names{"weight"}));
  GroupNorm group(2, 6);
  EXPECT_EQ(names_of(group), (Names{"weight", "bias"}));
  InstanceNorm2d instance(3);
  EXPECT_EQ(names_of(instance), Names{});
  InstanceNorm2d tracked(3, {.affine = true, .track_running_stats = true});
  EXPECT_EQ(names_of(tracked),
            (Names{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}));
}

TEST(RowLayers, one_group_is_layer_norm_over_channels_and_positions) {
  GroupNorm group(1, 4);
  LayerNorm layer({4, 5, 3});
  for (const Layout layout : {kFirst, kLast}) {
    const Tensor x = random_tensor({3, 4, 5, 3}, 1, DType::f32, layout);
    const Tensor dy = random_tensor({3, 4, 5, 3}, 2, DType::f32, layout);
    EXPECT_TRUE(identical(group.forward(x), layer.forward(x)));
    EXPECT_LE(max_difference(group.backward(dy), layer.backward(dy)), 1e-6);
  }
}

TEST(RowLayers, as_many_groups_as_channels_is_instance_norm) {
  GroupNorm group(4, 4);
  InstanceNorm2d instance(4, {.affine = true});
  set_parameters(group, 5);
  set_parameters(instance, 5);
  for (const Layout layout : {kFirst, kLast}) {
    const Tensor x = random_tensor({3, 4, 5, 3}, 1, DType::f32, layout);
    const Tensor dy = random_tensor({3, 4, 5, 3}, 2, DType::f32, layout);
    EXPECT_TRUE(identical(group.forward(x), instance.forward(x)));
    EXPECT_TRUE(identical(group.backward(dy), instance.backward(dy)));
  }
  const auto expected = instance.parameters(), got = group.parameters();
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(identical(got[i].parameter->grad, expected[i].parameter->grad));
  }
}

/// Whatever the normalized shape covers: from the whole tensor to the last dimension.
TEST(RowLayers, trailing_norms_do_not_depend_on_the_layout) {
  const Shape shape{3, 4, 5, 2};
  for (int axes = 1; axes <= 4; ++axes) {
    LayerNorm first(shape.drop(4 - axes));
    set_parameters(first, 9);
    auto last = first.clone();
    const Tensor x = random_tensor(shape, 1), dy = random_tensor(shape, 2);
    const Tensor y = last->forward(x.to(kLast));
    EXPECT_EQ(y.layout(), kLast);
    EXPECT_LE(max_difference(first.forward(x), y), 2e-6) << axes;
    for (const auto& [name, parameter] : last->parameters()) parameter->grad.fill(3);
    const Tensor dx = last->backward(dy.to(kLast));
    EXPECT_EQ(dx.layout(), kLast);
    EXPECT_LE(max_difference(first.backward(dy), dx), 2e-6) << axes;
    const auto expected = first.parameters(), got = last->parameters();
    for (std::size_t i = 0; i < got.size(); ++i) {
      const Tensor& gradient = got[i].parameter->grad;
      for (std::int64_t k = 0; k < gradient.numel(); ++k) {
        EXPECT_NEAR(gradient.data<float>()[k] - 3, expected[i].parameter->grad.data<float>()[k],
                    1e-5)
            << "accumulates";
      }
    }
  }
}

TEST(RowLayers, rms_norm_divides_by_the_root_mean_square) {
  RMSNorm layer({2});
  const Tensor y = layer.forward(Tensor::from<float>({3, 4, 0, 0}, {2, 2}));
  EXPECT_NEAR(y.data<float>()[0], 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y.data<float>()[1], 4 / std::sqrt(12.5), 1e-6);
  EXPECT_EQ(y.data<float>()[2], 0);
}

/// Without an eps it is the dtype's, as in PyTorch: for f32 1.2e-7, for f64 2.2e-16.
TEST(RowLayers, rms_norm_takes_the_eps_of_the_dtype) {
  RMSNorm layer({1});
  const double tiny = 1e-4;
  const Tensor y = layer.forward(Tensor::full({1, 1}, tiny));
  EXPECT_NEAR(y.data<float>()[0], tiny / std::sqrt(tiny * tiny + 1.1920928955078125e-07), 1e-6);
  layer.to(DType::f64);
  const Tensor wide = layer.forward(Tensor::full({1, 1}, tiny, DType::f64));
  EXPECT_NEAR(wide.data<double>()[0], 1, 1e-7);
  RMSNorm fixed({1}, {.eps = 1e-8});
  const Tensor z = fixed.forward(Tensor::full({1, 1}, tiny));
  EXPECT_NEAR(z.data<float>()[0], 1 / std::sqrt(2.0), 1e-6);
}

TEST(RowLayers, train_and_eval_are_the_same_without_running_statistics) {
  const Tensor x = random_tensor({3, 4, 5}, 1);
  for (const auto& layer : {make_layer("LayerNorm", {{"normalized_shape", std::int64_t{5}}}),
                            make_layer("GroupNorm", {{"num_groups", std::int64_t{2}},
                                                     {"num_channels", std::int64_t{4}}}),
                            make_layer("InstanceNorm1d", {{"num_features", std::int64_t{4}}})}) {
    const Tensor y = layer->forward(x);
    layer->eval();
    EXPECT_TRUE(identical(y, layer->forward(x))) << layer->type();
  }
}

TEST(InstanceNorm, tracks_the_mean_of_the_samples_statistics_and_uses_it_in_eval_mode) {
  InstanceNorm1d layer(2, {.eps = 0, .momentum = 1, .track_running_stats = true});
  // Channel 0: means 2 and 4, unbiased variances 2 and 8; channel 1: 10 and 20, 2 and 18.
  const Tensor x = Tensor::from<float>({1, 3, 9, 11, 2, 6, 17, 23}, {2, 2, 2});
  layer.forward(x);
  const StateDict state = layer.state_dict();
  EXPECT_EQ(state[0].second.data<double>()[0], 3);
  EXPECT_EQ(state[0].second.data<double>()[1], 15);
  EXPECT_EQ(state[1].second.data<double>()[0], 5);
  EXPECT_EQ(state[1].second.data<double>()[1], 10);
  EXPECT_EQ(state[2].second.item(), 0) << "PyTorch does not count them";
  layer.eval();
  const Tensor y = layer.forward(x);
  EXPECT_NEAR(y.data<float>()[0], (1 - 3) / std::sqrt(5.0), 1e-6);
  EXPECT_NEAR(y.data<float>()[7], (23 - 15) / std::sqrt(10.0), 1e-6);
  EXPECT_EQ(layer.state_dict()[0].second.data<double>()[0], 3) << "changed in eval mode";
}

TEST(InstanceNorm, takes_one_sample_without_a_batch) {
  for (const Layout layout : {kFirst, kLast}) {
    InstanceNorm2d batched(3, {.affine = true, .track_running_stats = true});
    set_parameters(batched, 4);
    InstanceNorm2d single(3, {.affine = true, .track_running_stats = true});
    set_parameters(single, 4);
    const Tensor x = random_tensor({3, 4, 5}, 1), dy = random_tensor({3, 4, 5}, 2);
    for (const bool training : {true, false}) {
      for (Module* layer : {static_cast<Module*>(&batched), static_cast<Module*>(&single)}) {
        layer->train(training);
        layer->keep_for_backward();
      }
      const Tensor y = single.forward(x.to(layout));
      EXPECT_EQ(y.layout(), layout);
      EXPECT_TRUE(
          identical(batched.forward(x.reshape({1, 3, 4, 5})).reshape({3, 4, 5}), y.to(kFirst)));
      const Tensor dx = single.backward(dy.to(layout));
      EXPECT_EQ(dx.layout(), layout);
      EXPECT_TRUE(
          identical(batched.backward(dy.reshape({1, 3, 4, 5})).reshape({3, 4, 5}), dx.to(kFirst)));
    }
    const StateDict expected = batched.state_dict(), got = single.state_dict();
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(identical(got[i].second, expected[i].second)) << got[i].first;
    }
  }
}

TEST(InstanceNorm, gradients_without_a_batch_are_those_of_central_differences) {
  InstanceNorm1d layer(3, {.affine = true});
  const auto report = testing::check_gradients(layer, testing::separated_tensor({3, 6}, 1, kFirst));
  EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
}

TEST(InstanceNorm, one_position_is_refused_where_its_own_statistics_are_used) {
  InstanceNorm1d layer(3, {.track_running_stats = true});
  const Tensor x = random_tensor({2, 3, 1}, 1);
  const std::string message = message_of<ShapeError>([&] { layer.forward(x); });
  EXPECT_NE(message.find("more than one position"), std::string::npos) << message;
  EXPECT_EQ(layer.state_dict()[0].second.data<double>()[0], 0);
  layer.eval();
  EXPECT_NO_THROW(layer.forward(x));
}

TEST(RowLayers, refusals_name_the_layer_what_was_expected_and_the_way_out) {
  const auto expect = [](const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
    }
  };
  expect(message_of<UsageError>([] { GroupNorm(4, 6); }),
         {"[GroupNorm]", "6 and 4", "divisor of 6"});
  expect(message_of<UsageError>([] { GroupNorm(2, 4, {.eps = -1}); }), {"[GroupNorm]", "eps"});
  expect(message_of<UsageError>([] { LayerNorm(Shape{}); }), {"[LayerNorm]", "normalized_shape"});
  expect(message_of<UsageError>([] { LayerNorm({3}, {.eps = NAN}); }), {"[LayerNorm]", "eps"});
  expect(message_of<UsageError>([] { RMSNorm({3}, {.eps = -1.0}); }), {"[RMSNorm]", "eps"});
  expect(message_of<UsageError>([] { InstanceNorm1d(3, {.momentum = 2}); }),
         {"[InstanceNorm]", "momentum"});
  expect(message_of<UsageError>([] { make_layer("LayerNorm"); }),
         {"[LayerNorm]", "normalized_shape", "missing"});
  expect(message_of<UsageError>([] {
           make_layer("LayerNorm", {{"normalized_shape", std::vector<std::int64_t>{3, -1}}});
         }),
         {"[LayerNorm]", "0 or more"});

  Sequential net;
  net.add(std::make_unique<GroupNorm>(2, 4));
  expect(message_of<ShapeError>([&] {
           net.forward(random_tensor({2, 6, 3}, 1));
         }),
         {"[GroupNorm 0]", "4 channels", "[2, 6, 3]", "build it for 6"});
  expect(message_of<ShapeError>([&] { net.forward(random_tensor({4}, 1)); }),
         {"[GroupNorm 0]", "[1, 4]"});
  LayerNorm layer({3, 4});
  expect(message_of<ShapeError>([&] {
           layer.forward(random_tensor({2, 4, 3}, 1));
         }),
         {"[LayerNorm]", "[3, 4]", "[2, 4, 3]", "[4, 3]"});
  expect(message_of<ShapeError>([&] { layer.forward(random_tensor({4}, 1)); }),
         {"[LayerNorm]", "[3, 4]"});
  InstanceNorm2d instance(3);
  expect(message_of<ShapeError>([&] {
           instance.forward(random_tensor({2, 3}, 1));
         }),
         {"[InstanceNorm2d]", "[N, C, H, W]"});
  expect(message_of<ShapeError>([&] {
           instance.forward(random_tensor({2, 4, 3, 3}, 1));
         }),
         {"[InstanceNorm2d]", "3 channels"});
  expect(message_of<ShapeError>([&] {
           layer.forward(random_tensor({2, 3, 4}, 1, DType::f64));
         }),
         {"[LayerNorm]", "f32"});
}

TEST(RowLayers, empty_batches_give_empty_results_and_no_gradients) {
  for (const Layout layout : {kFirst, kLast}) {
    InstanceNorm1d layer(3, {.affine = true, .track_running_stats = true});
    const Tensor x = Tensor::empty({0, 3, 5}, DType::f32, layout);
    EXPECT_EQ(layer.forward(x).shape(), x.shape());
    EXPECT_EQ(layer.backward(x).shape(), x.shape());
    EXPECT_EQ(layer.state_dict()[2].second.data<double>()[0], 0);
    for (const auto& [name, parameter] : layer.parameters()) {
      for (const float v : parameter->grad.span<float>()) EXPECT_EQ(v, 0);
    }
  }
}

TEST(GroupNorm, ShowsItsGroups) {
  EXPECT_EQ(GroupNorm(8, 32).mode_note(), "8 groups of 4 channels");
  EXPECT_EQ(GroupNorm(1, 32).mode_note(), "1 group of 32 channels");
}

TEST(InstanceNorm, ShowsWhetherItKeepsStatistics) {
  EXPECT_EQ(InstanceNorm2d(4).mode_note(), "");
  EXPECT_EQ(InstanceNorm2d(4, {.track_running_stats = true}).mode_note(),
            "running statistics in eval mode");
}

}  // namespace
}  // namespace evenkeel::nn
