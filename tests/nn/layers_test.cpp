// What single layers do beyond what the table's tests ask of all.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/tensors.h"
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::random_tensor;

TEST(Linear, computes_x_times_weight_transposed_plus_bias) {
  Linear layer(2, 3);
  layer.weight().value.copy_from(Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}));
  layer.bias().value.copy_from(Tensor::from<float>({10, 20, 30}, {3}));
  const Tensor y = layer.forward(Tensor::from<float>({1, 1, 2, -1}, {2, 2}));
  EXPECT_EQ(max_difference(y, Tensor::from<float>({13, 27, 41, 10, 22, 34}, {2, 3})), 0);
}

TEST(Linear, refuses_images_and_suggests_flatten) {
  Sequential net{Linear(784, 10)};
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(Tensor::zeros({32, 28, 28}));
            }),
            "[Linear 0] expected [N, 784], got [32, 28, 28]; put a Flatten before it");
}

TEST(Linear, wrong_width_names_the_layer_that_would_fit) {
  EXPECT_EQ(
      message_of<ShapeError>([] {
        Linear(784, 10).forward(Tensor::zeros({2, 100}));
      }),
      "[Linear] expected [N, 784], got [2, 100]; make it Linear(100, 10) or change its input");
}

TEST(Linear, refuses_elements_of_another_type_than_the_parameters) {
  EXPECT_EQ(message_of<ShapeError>([] {
              Linear(3, 2).forward(Tensor::zeros({1, 3}, DType::f64));
            }),
            "[Linear] expected f32 elements like the parameters, got f64; convert one with to()");
}

TEST(Linear, without_bias_has_one_parameter) {
  Linear layer(3, 2, {.bias = false});
  EXPECT_EQ(layer.parameters().size(), 1u);
  EXPECT_THROW(layer.bias(), UsageError);
  EXPECT_THROW(Linear(0, 2), UsageError);
}

TEST(Linear, skips_the_input_gradient_when_nobody_needs_it) {
  Linear layer(3, 2);
  layer.set_needs_input_gradient(false);
  const Tensor y = layer.forward(random_tensor({4, 3}, 1));
  EXPECT_FALSE(layer.backward(y).defined());
}

TEST(Conv2d, takes_one_number_or_two_for_each_size) {
  EXPECT_EQ(Conv2d(3, 64, 3).output_shape({1, 3, 32, 32}), Shape({1, 64, 30, 30}));
  EXPECT_EQ(Conv2d(3, 64, 3, {.padding = 1}).output_shape({1, 3, 32, 32}), Shape({1, 64, 32, 32}));
  EXPECT_EQ(Conv2d(3, 8, {3, 5}, {.stride = {2, 1}, .padding = {1, 2}}).output_shape({2, 3, 9, 8}),
            Shape({2, 8, 5, 8}));
}

TEST(Conv3d, takes_one_number_or_three_for_each_size) {
  EXPECT_EQ(Conv3d(3, 8, 3).output_shape({1, 3, 8, 9, 7}), Shape({1, 8, 6, 7, 5}));
  EXPECT_EQ(Conv3d(3, 8, {1, 3, 5}, {.stride = {1, 2, 1}, .padding = {0, 1, 2}})
                .output_shape({2, 3, 4, 9, 8}),
            Shape({2, 8, 4, 5, 8}));
  EXPECT_EQ(ConvTranspose3d(3, 8, {1, 2, 3}, {.stride = {1, 2, 3}, .output_padding = {0, 1, 2}})
                .output_shape({2, 3, 4, 3, 2}),
            Shape({2, 8, 4, 7, 8}));
  EXPECT_EQ(MaxPool3d({1, 2, 3}).output_shape({2, 3, 4, 5, 6}), Shape({2, 3, 4, 2, 2}));
  EXPECT_EQ(AvgPool3d(2, {.stride = 1}).output_shape({2, 3, 4, 5, 6}), Shape({2, 3, 3, 4, 5}));
}

TEST(Conv3d, wrong_shapes_and_options_are_explained) {
  EXPECT_EQ(message_of<ShapeError>([] {
              (void)Conv3d(3, 8, 3).output_shape({2, 3, 8, 8});
            }),
            "[Conv3d] expected [N, 3, D, H, W], got [2, 3, 8, 8]; reshape the input to rank 5, "
            "batch and channels first");
  EXPECT_EQ(message_of<ShapeError>([] {
              (void)Conv3d(1, 1, 5).output_shape({1, 1, 8, 8, 3});
            }),
            "[Conv3d] expected at least 5 positions in dimension 4 with its padding, got 3 from "
            "[1, 1, 8, 8, 3]; use a larger input, more padding or a smaller kernel");
  using List = std::vector<std::int64_t>;
  EXPECT_EQ(message_of<UsageError>([] {
              make_layer("Conv3d", {{"in_channels", std::int64_t{1}},
                                    {"out_channels", std::int64_t{1}},
                                    {"kernel_size", List{3, 3}}});
            }),
            "[Conv3d] 'kernel_size' expects one integer or [depth, height, width], got [3, 3]");
  EXPECT_EQ(message_of<UsageError>([] { make_layer("MaxPool3d", {}); }),
            "[MaxPool3d] the key 'kernel_size' is missing: give an integer or [depth, height, "
            "width]");
  EXPECT_THROW(Conv3d(3, 8, {3, 3, 0}), UsageError);
  EXPECT_THROW(Conv3d(3, 8, 3, {.stride = {1, 1, 0}}), UsageError);
  EXPECT_THROW(Conv3d(3, 8, 3, {.padding = {0, 0, -1}}), UsageError);
  EXPECT_THROW(ConvTranspose3d(3, 8, 3, {.stride = 2, .output_padding = {0, 0, 2}}), UsageError);
  EXPECT_THROW(MaxPool3d(2, {.padding = {0, 0, 2}}), UsageError);
}

TEST(Conv2d, wrong_rank_and_channels_are_explained) {
  Sequential net{Conv2d(3, 8, 3)};
  EXPECT_EQ(
      message_of<ShapeError>([&] {
        net.forward(Tensor::zeros({32, 28, 28}));
      }),
      "[Conv2d 0] expected [N, 3, H, W], got [32, 28, 28]; reshape the input to rank 4, batch "
      "and channels first");
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(Tensor::zeros({2, 1, 28, 28}));
            }),
            "[Conv2d 0] expected [N, 3, H, W], got [2, 1, 28, 28] with 1 channels; let the layer "
            "before give 3");
  EXPECT_EQ(message_of<ShapeError>([&] {
              net.forward(Tensor::zeros({2, 784}));
            }),
            "[Conv2d 0] expected [N, 3, H, W], got [2, 784]; put it before the Flatten, or reshape "
            "the input");
}

TEST(Conv2d, an_input_smaller_than_the_kernel_is_explained) {
  EXPECT_EQ(message_of<ShapeError>([] {
              (void)Conv2d(1, 1, 5).output_shape({1, 1, 8, 3});
            }),
            "[Conv2d] expected at least 5 positions in dimension 3 with its padding, got 3 from "
            "[1, 1, 8, 3]; use a larger input, more padding or a smaller kernel");
}

TEST(Conv2d, options_out_of_range_are_usage_errors) {
  EXPECT_THROW(Conv2d(3, 8, 0), UsageError);
  EXPECT_THROW(Conv2d(3, 8, 3, {.stride = 0}), UsageError);
  EXPECT_THROW(Conv2d(3, 8, 3, {.padding = -1}), UsageError);
  EXPECT_EQ(message_of<UsageError>([] { Conv2d(4, 6, 3, {.groups = 4}); }),
            "[Conv2d] expected groups that divide both 4 and 6 channels, got 4");
}

TEST(Conv2d, both_layouts_give_the_same) {
  Conv2d layer(3, 4, 3, {.stride = 2, .padding = 1});
  const Tensor x = random_tensor({2, 3, 7, 6}, 1);
  const Tensor first = layer.forward(x);
  const Tensor last = layer.forward(x.to(Layout::channels_last));
  EXPECT_EQ(last.layout(), Layout::channels_last);
  EXPECT_LE(max_difference(first, last), 1e-5);
}

TEST(Conv2d, takes_a_gradient_in_either_layout) {
  Conv2d layer(2, 3, 3);
  auto twin = layer.clone();
  const Tensor x = random_tensor({2, 2, 5, 5}, 1);
  const Tensor dy = random_tensor({2, 3, 3, 3}, 2);
  layer.forward(x);
  twin->forward(x);
  EXPECT_TRUE(identical(layer.backward(dy), twin->backward(dy.to(Layout::channels_last))));
}

TEST(Pool, stride_is_the_kernel_unless_given) {
  EXPECT_EQ(MaxPool2d(2).output_shape({1, 3, 8, 9}), Shape({1, 3, 4, 4}));
  EXPECT_EQ(MaxPool2d(3, {.stride = 2, .padding = 1}).output_shape({1, 3, 8, 8}),
            Shape({1, 3, 4, 4}));
  EXPECT_EQ(AvgPool1d(4, {.stride = 1}).output_shape({1, 3, 8}), Shape({1, 3, 5}));
}

TEST(Pool, padding_beyond_half_the_kernel_is_refused) {
  EXPECT_EQ(message_of<UsageError>([] { MaxPool2d(3, {.padding = 2}); }),
            "[MaxPool2d] expected padding of at most half the kernel, got 2 for a kernel of 3");
}

TEST(Pool, max_and_average_of_a_small_image) {
  const Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6, 7, 8}, {1, 1, 2, 4});
  EXPECT_EQ(max_difference(MaxPool2d(2).forward(x), Tensor::from<float>({6, 8}, {1, 1, 1, 2})), 0);
  EXPECT_EQ(
      max_difference(AvgPool2d(2).forward(x), Tensor::from<float>({3.5f, 5.5f}, {1, 1, 1, 2})), 0);
}

TEST(Pool, max_and_average_of_a_small_volume) {
  const Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {1, 1, 2, 2, 3});
  const Shape out{1, 1, 1, 1, 2};
  EXPECT_EQ(
      max_difference(MaxPool3d(2, {.stride = 1}).forward(x), Tensor::from<float>({11, 12}, out)),
      0);
  EXPECT_EQ(
      max_difference(AvgPool3d(2, {.stride = 1}).forward(x), Tensor::from<float>({6, 7}, out)), 0);
}

TEST(GlobalAvgPool, gives_the_mean_of_every_channel) {
  GlobalAvgPool layer;
  const Tensor x = Tensor::from<float>({1, 2, 3, 6, -1, 1, 4, 4}, {1, 2, 2, 2});
  EXPECT_EQ(max_difference(layer.forward(x), Tensor::from<float>({3, 2}, {1, 2})), 0);
  EXPECT_THROW(layer.forward(Tensor::zeros({2, 3})), ShapeError);
}

TEST(Activation, absorbed_layer_hands_both_directions_through) {
  ReLU layer;
  layer.set_absorbed(true);
  const Tensor x = Tensor::from<float>({-1, 2}, {1, 2});
  EXPECT_EQ(layer.forward(x).raw(), x.raw());
  EXPECT_EQ(layer.backward(x).raw(), x.raw());
  EXPECT_EQ(layer.fusion_note(), "fused into the layer before");
  layer.set_absorbed(false);
  EXPECT_EQ(layer.fusion_note(), "");
  EXPECT_EQ(max_difference(layer.forward(x), Tensor::from<float>({0, 2}, {1, 2})), 0);
}

TEST(Activation, leaky_relu_refuses_a_slope_without_a_sign) {
  EXPECT_THROW(LeakyReLU(0), UsageError);
  EXPECT_THROW(LeakyReLU(-1), UsageError);
  EXPECT_EQ(LeakyReLU().slope(), 0.01);
}

TEST(Dropout, keeps_the_expected_share_and_scales_it) {
  Dropout layer(0.25);
  const Tensor y = layer.forward(Tensor::full({100, 100}, 3));
  std::int64_t kept = 0;
  for (const float value : y.span<float>()) {
    if (value != 0) {
      ++kept;
      EXPECT_FLOAT_EQ(value, 4);
    }
  }
  EXPECT_NEAR(static_cast<double>(kept) / 1e4, 0.75, 0.02);  // 4.6 deviations
}

TEST(Dropout, every_forward_draws_another_mask) {
  Dropout layer(0.5);
  const Tensor x = Tensor::full({8, 8}, 1);
  EXPECT_FALSE(identical(layer.forward(x), layer.forward(x)));
}

TEST(Dropout, resumes_the_masks_from_a_state_dict) {
  Dropout layer(0.5);
  layer.initialize(5);
  const Tensor x = Tensor::full({8, 8}, 1);
  layer.forward(x);
  StateDict saved;
  for (const auto& [name, tensor] : layer.state_dict()) saved.emplace_back(name, tensor.clone());
  const Tensor expected = layer.forward(x);
  Dropout resumed(0.5);
  resumed.load_state_dict(saved);
  EXPECT_TRUE(identical(resumed.forward(x), expected));
}

TEST(Dropout, state_is_not_exported) {
  Dropout layer(0.5);
  EXPECT_EQ(layer.state_dict().size(), 1u);
  EXPECT_TRUE(layer.state_dict(/*exported_only=*/true).empty());
  EXPECT_NO_THROW(layer.load_state_dict({}));
}

TEST(Dropout, seeds_and_places_have_masks_of_their_own) {
  Sequential net{Dropout(0.5), Dropout(0.5)};
  const Tensor x = Tensor::full({8, 8}, 1);
  net.initialize(1);
  const Tensor first = net[0].forward(x);
  EXPECT_FALSE(identical(first, net[1].forward(x)));
  net.initialize(2);
  EXPECT_FALSE(identical(first, net[0].forward(x)));
  net.initialize(1);
  EXPECT_TRUE(identical(first, net[0].forward(x)));
}

TEST(Dropout, share_of_zero_or_more_and_less_than_one) {
  EXPECT_THROW(Dropout(1), UsageError);
  EXPECT_THROW(Dropout(-0.1), UsageError);
  const Tensor x = random_tensor({2, 2}, 1);
  EXPECT_TRUE(identical(Dropout(0).forward(x), x));
}

TEST(Flatten, orders_features_logically_in_both_layouts) {
  const Tensor x = random_tensor({2, 3, 2, 2}, 1);
  Flatten layer;
  const Tensor first = layer.forward(x);
  EXPECT_EQ(first.shape(), Shape({2, 12}));
  EXPECT_EQ(first.raw(), x.raw()) << "no copy is needed";
  EXPECT_TRUE(identical(layer.forward(x.to(Layout::channels_last)), first));
}

TEST(Flatten, gradient_comes_in_the_layout_of_the_input) {
  const Tensor x = random_tensor({2, 3, 2, 2}, 1, DType::f32, Layout::channels_last);
  Flatten layer;
  const Tensor y = layer.forward(x);
  EXPECT_TRUE(identical(layer.backward(y), x));
}

TEST(Flatten, makes_a_sequence_of_the_positions_without_moving_them) {
  const Tensor x = random_tensor({2, 3, 2, 4}, 1);
  Flatten layer({.start_dim = 2});
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor image = x.to(layout);
    const Tensor y = layer.forward(image);
    EXPECT_EQ(y.shape(), Shape({2, 3, 8}));
    EXPECT_EQ(y.layout(), layout);
    EXPECT_EQ(y.raw(), image.raw()) << "no copy is needed";
    EXPECT_TRUE(identical(y.to(Layout::channels_first).reshape(x.shape()), x));
    EXPECT_TRUE(identical(layer.backward(y), image));
  }
}

TEST(Flatten, refuses_what_it_cannot_join) {
  EXPECT_THROW(Flatten({.start_dim = 0}), UsageError);
  EXPECT_THROW(Flatten({.start_dim = 3}), UsageError);
  Flatten to_sequence({.start_dim = 2});
  EXPECT_THROW(to_sequence.forward(random_tensor({2, 3}, 1)), ShapeError);
}

}  // namespace
}  // namespace evenkeel::nn
