// Convolutions with standardized weights.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/exact_norm.h"
#include "nn/table_cases.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::normal_tensor;
using testing::NormStep;
using testing::random_tensor;

Conv2d standardized(double eps = 1e-5) {
  return Conv2d(4, 6, 3,
                {.padding = 1, .groups = 2, .weight_standardization = true, .weight_eps = eps});
}

TEST(WeightStandardization, output_channels_have_mean_0_and_variance_1_beside_eps) {
  for (const double mean : {0.0, 1e3}) {
    Conv2d conv = standardized(0.25);
    conv.weight().value.copy_from(normal_tensor({6, 2, 3, 3}, 1, mean, 2));
    const Tensor weight = conv.weight().value.to(DType::f64);
    const Tensor hat = conv.effective_weight().to(DType::f64);
    for (std::int64_t out = 0; out < 6; ++out) {
      const auto row = [&](const Tensor& t, std::int64_t i) {
        return t.data<double>()[18 * out + i];
      };
      double mu = 0, var = 0;
      for (std::int64_t i = 0; i < 18; ++i) mu += row(weight, i) / 18;
      for (std::int64_t i = 0; i < 18; ++i)
        var += (row(weight, i) - mu) * (row(weight, i) - mu) / 18;
      for (std::int64_t i = 0; i < 18; ++i) {
        EXPECT_NEAR(row(hat, i), (row(weight, i) - mu) / std::sqrt(var + 0.25), 1e-6);
      }
    }
  }
}

TEST(WeightStandardization, is_a_convolution_with_the_standardized_weight) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor x = normal_tensor({3, 4, 5, 6}, 1, 0, 1, layout);
    const Tensor dy = normal_tensor({3, 6, 5, 6}, 2, 0, 1, layout);
    Conv2d conv = standardized();
    Conv2d plain(4, 6, 3, {.padding = 1, .groups = 2});
    plain.load_state_dict(conv.state_dict());
    plain.weight().value.copy_from(conv.effective_weight());
    EXPECT_TRUE(identical(conv.forward(x), plain.forward(x)));
    EXPECT_TRUE(identical(conv.backward(dy), plain.backward(dy)));
    EXPECT_TRUE(identical(conv.bias().grad, plain.bias().grad));
    EXPECT_FALSE(identical(conv.weight().grad, plain.weight().grad));
  }
}

TEST(WeightStandardization, of_volumes_is_that_of_planes_with_the_same_weights) {
  Conv3d deep(4, 6, {1, 3, 3}, {.groups = 2, .weight_standardization = true});
  Conv2d flat(4, 6, 3, {.groups = 2, .weight_standardization = true});
  flat.weight().value.copy_from(deep.weight().value.reshape({6, 2, 3, 3}));
  EXPECT_TRUE(identical(deep.effective_weight().reshape({6, 2, 3, 3}), flat.effective_weight()));
  EXPECT_FALSE(identical(deep.effective_weight(), deep.weight().value));
  EXPECT_EQ(message_of<UsageError>(
                [] { Conv3d(4, 4, 1, {.groups = 4, .weight_standardization = true}); }),
            "[Conv3d] expected more than one weight per output channel to standardize, got 4 "
            "channels in 4 groups and a kernel of 1; leave weight_standardization out");
}

/// Moving or scaling the weights of an output channel changes nothing, so no gradient points there.
TEST(WeightStandardization, gradients_do_not_move_or_scale_an_output_channel) {
  Conv2d conv = standardized(0);
  const Tensor x = normal_tensor({3, 4, 5, 6}, 1, 0, 1);
  conv.forward(x);
  conv.backward(normal_tensor({3, 6, 5, 6}, 2, 0, 1));
  const float* weight = conv.weight().value.data<float>();
  const float* grad = conv.weight().grad.data<float>();
  for (std::int64_t out = 0; out < 6; ++out) {
    double along_one = 0, along_weight = 0, size = 0;
    for (std::int64_t i = 18 * out; i < 18 * (out + 1); ++i) {
      along_one += static_cast<double>(grad[i]);
      along_weight += static_cast<double>(grad[i]) * static_cast<double>(weight[i]);
      size += std::abs(static_cast<double>(grad[i]));
    }
    EXPECT_LE(std::abs(along_one), 1e-5 * size);
    EXPECT_LE(std::abs(along_weight), 1e-5 * size);
  }
}

TEST(WeightStandardization, the_scale_of_the_weights_does_not_show) {
  const Tensor x = normal_tensor({3, 4, 5, 6}, 1, 0, 1);
  Conv2d conv = standardized(0);
  const Tensor expected = conv.forward(x);
  for (float& value : conv.weight().value.span<float>()) value = value * 8;
  EXPECT_LE(max_difference(conv.forward(x), expected), 1e-5);
}

TEST(WeightStandardization, learned_and_saved_is_the_weight_itself) {
  Conv1d conv(3, 4, 5, {.weight_standardization = true});
  EXPECT_TRUE(identical(conv.state_dict()[0].second, conv.weight().value));
  EXPECT_EQ(conv.state_dict().size(), 2U);
  Conv1d plain(3, 4, 5);
  EXPECT_TRUE(identical(plain.weight().value, conv.weight().value)) << "as it begins";
}

TEST(WeightStandardization, has_the_same_bits_for_any_number_of_threads) {
  const int threads = max_threads();
  const Tensor x = normal_tensor({4, 32, 9, 8}, 1, 0, 1);
  const auto weight = [&](int count) {
    set_max_threads(count);
    return Conv2d(32, 70, 3, {.weight_standardization = true}).effective_weight();
  };
  const Tensor expected = weight(1);
  for (const int count : {2, 3, 8}) EXPECT_TRUE(identical(weight(count), expected));
  set_max_threads(threads);
}

TEST(WeightStandardization, one_weight_per_output_channel_is_an_error) {
  EXPECT_EQ(message_of<UsageError>(
                [] { Conv2d(4, 4, 1, {.groups = 4, .weight_standardization = true}); }),
            "[Conv2d] expected more than one weight per output channel to standardize, got 4 "
            "channels in 4 groups and a kernel of 1; leave weight_standardization out");
  EXPECT_NO_THROW(Conv2d(4, 4, 1, {.weight_standardization = true}));
  EXPECT_THROW(Conv1d(4, 4, 3, {.weight_standardization = true, .weight_eps = -1}), UsageError);
  EXPECT_THROW(Conv1d(4, 4, 3, {.weight_standardization = true, .weight_eps = NAN}), UsageError);
}

TEST(WeightStandardization, memory_that_runs_out_in_backward_changes_nothing_or_forgets) {
  const Tensor x = normal_tensor({3, 4, 5, 6}, 1, 0, 1);
  Conv2d conv = standardized();
  auto reference = conv.clone();
  const Tensor y = reference->forward(x);
  const Tensor expected = reference->backward(y);
  conv.forward(x);
  const testing::Snapshot before(conv);
  Tensor dx;
  testing::fail_each_allocation([&] { dx = conv.backward(y); },
                                [&] { ASSERT_EQ(before.difference(), ""); });
  EXPECT_TRUE(identical(dx, expected));
  EXPECT_TRUE(identical(conv.weight().grad, reference->parameters()[0].parameter->grad));
}

TEST(WeightStandardization, IsShown) {
  EXPECT_EQ(Conv2d(3, 4, 3, {.weight_standardization = true}).mode_note(), "standardized weights");
  EXPECT_EQ(Conv2d(3, 4, 3).mode_note(), "");
}

}  // namespace
}  // namespace evenkeel::nn
