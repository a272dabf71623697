// Networks as a user writes them.
#include <gtest/gtest.h>

#include "nn/gradient_check.h"
#include <evenkeel/nn/nn.h>

namespace evenkeel {
namespace {

using testing::random_tensor;

TEST(Networks, multilayer_perceptron_trains_on_a_small_task) {
  nn::Sequential net{nn::Linear(8, 16),  nn::BatchNorm1d(16), nn::ReLU(),      nn::Linear(16, 8),
                     nn::BatchNorm1d(8), nn::ReLU(),          nn::Linear(8, 2)};
  net.initialize(1);
  const Tensor x = random_tensor({64, 8}, 1);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < 64; ++i) {
    labels.push_back(x.data<float>()[8 * i] * x.data<float>()[8 * i + 1] > 0 ? 1 : 0);
  }
  const nn::CrossEntropy loss;
  net.train();
  const double before = loss.value(net.forward(x), labels);
  net.clear_saved();
  for (int step = 0; step < 200; ++step) {
    net.zero_grad();
    net.backward(loss(net.forward(x), labels).gradient);
    for (const auto& [name, parameter] : net.parameters()) {
      for (std::int64_t i = 0; i < parameter->value.numel(); ++i) {
        parameter->value.data<float>()[i] -= 0.2F * parameter->grad.data<float>()[i];
      }
    }
  }
  net.eval();
  EXPECT_LT(loss.value(net.forward(x), labels), before / 2);
  EXPECT_GE(nn::count_correct(net.forward(x), labels), 60);
}

TEST(Networks, convolution_block_keeps_its_layout) {
  nn::Sequential net{nn::Conv2d(3, 64, 3), nn::BatchNorm2d(64), nn::ReLU()};
  const Tensor x = random_tensor({2, 3, 8, 8}, 1, DType::f32, Layout::channels_last);
  const Tensor y = net.forward(x);
  EXPECT_EQ(y.shape(), Shape({2, 64, 6, 6}));
  EXPECT_EQ(y.layout(), Layout::channels_last);
  EXPECT_EQ(net.backward(y).layout(), Layout::channels_last);
}

/// Convolutions, a residual block with a projection, pooling, dropout and a classifier.
nn::Sequential small_convnet() {
  nn::Sequential net{
      nn::Conv2d(2, 3, 3, {.padding = 1, .bias = false}),
      nn::BatchNorm2d(3),
      nn::Tanh(),
      nn::Residual(
          nn::Sequential{nn::Conv2d(3, 4, 3, {.stride = 2, .padding = 1}), nn::BatchNorm2d(4)},
          nn::Sequential{nn::Conv2d(3, 4, 1, {.stride = 2}), nn::BatchNorm2d(4)},
          ops::ActivationKind::tanh),
      nn::AvgPool2d(2, {.stride = 1}),
      nn::Flatten(),
      nn::Dropout(0.25),
      nn::Linear(4, 3)};
  net.initialize(1);
  return net;
}

TEST(Networks, gradients_of_a_convnet_are_those_of_central_differences) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    nn::Sequential net = small_convnet();
    const auto report =
        testing::check_gradients(net, random_tensor({3, 2, 4, 4}, 1, DType::f64, layout));
    EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
  }
}

/// Batch norms before ReLUs, inside a residual block whose sum and ReLU follow one.
nn::Sequential fusible_net() {
  nn::Sequential net{
      nn::Conv2d(2, 4, 3, {.padding = 1}),
      nn::BatchNorm2d(4),
      nn::ReLU(),
      nn::Residual(nn::Sequential{nn::Conv2d(4, 4, 3, {.padding = 1}), nn::BatchNorm2d(4),
                                  nn::LeakyReLU(0.1), nn::Conv2d(4, 4, 1), nn::BatchNorm2d(4)},
                   ops::ActivationKind::relu),
      nn::GlobalAvgPool(),
      nn::Linear(4, 3)};
  net.initialize(4);
  return net;
}

TEST(Networks, fusion_keeps_every_bit_of_training) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const bool needs_input_gradient : {true, false}) {
      nn::Sequential plain = fusible_net();
      nn::Sequential fused(plain);
      ASSERT_EQ(nn::fuse(fused), 3);
      plain.set_needs_input_gradient(needs_input_gradient);
      fused.set_needs_input_gradient(needs_input_gradient);
      const Tensor x = random_tensor({3, 2, 6, 5}, 1, DType::f32, layout);
      const Tensor y = plain.forward(x);
      EXPECT_TRUE(testing::identical(fused.forward(x), y));
      const Tensor dx = plain.backward(y);
      const Tensor fused_dx = fused.backward(y);
      ASSERT_EQ(dx.defined(), needs_input_gradient);
      if (needs_input_gradient) {
        EXPECT_TRUE(testing::identical(fused_dx, dx));
      }
      for (std::size_t i = 0; i < plain.parameters().size(); ++i) {
        EXPECT_TRUE(testing::identical(fused.parameters()[i].parameter->grad,
                                       plain.parameters()[i].parameter->grad))
            << plain.parameters()[i].name;
      }
      for (std::size_t i = 0; i < plain.buffers().size(); ++i) {
        EXPECT_TRUE(
            testing::identical(fused.buffers()[i].buffer->value, plain.buffers()[i].buffer->value))
            << plain.buffers()[i].name;
      }
      plain.eval();
      fused.eval();
      EXPECT_TRUE(testing::identical(fused.forward(x), plain.forward(x)));
    }
  }
}

TEST(Networks, gradients_of_a_fused_network_are_those_of_central_differences) {
  nn::Sequential net = fusible_net();
  // Away from the kinks: β far from zero against values that batch norm keeps near ±2.
  std::uint64_t seed = 0;
  for (const auto& [name, parameter] : net.parameters()) {
    if (parameter->kind == nn::ParameterKind::norm_shift) {
      for (float& beta : parameter->value.span<float>()) beta = ++seed % 3 == 0 ? -6.0F : 6.0F;
    }
  }
  ASSERT_GT(nn::fuse(net), 0);
  const auto report = testing::check_gradients(net, random_tensor({3, 2, 4, 3}, 1, DType::f64));
  EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
}

TEST(Networks, both_layouts_train_the_same_network) {
  nn::Sequential first = small_convnet();
  nn::Sequential last(first);
  const Tensor x = random_tensor({4, 2, 4, 4}, 1);
  const Tensor y = first.forward(x);
  EXPECT_LE(testing::max_difference(y, last.forward(x.to(Layout::channels_last))), 1e-5);
  EXPECT_LE(testing::max_difference(first.backward(y), last.backward(y)), 1e-4);
  for (std::size_t i = 0; i < first.parameters().size(); ++i) {
    EXPECT_LE(testing::max_difference(first.parameters()[i].parameter->grad,
                                      last.parameters()[i].parameter->grad),
              1e-4)
        << first.parameters()[i].name;
  }
}

TEST(Networks, state_dict_carries_a_network_over) {
  nn::Sequential net = small_convnet();
  net.forward(random_tensor({4, 2, 4, 4}, 1));
  net.clear_saved();
  nn::Sequential other = small_convnet();
  other.initialize(2);
  other.load_state_dict(net.state_dict());
  net.eval();
  other.eval();
  const Tensor x = random_tensor({2, 2, 4, 4}, 3);
  EXPECT_TRUE(testing::identical(net.forward(x), other.forward(x)));
}

}  // namespace
}  // namespace evenkeel
