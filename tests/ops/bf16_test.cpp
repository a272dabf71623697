// bf16 activations: what is stored is what arithmetic in f32 on the same values gives, rounded
// once.
#include <functional>

#include "ops/testing.h"
#include <evenkeel/ops/activation.h>
#include <evenkeel/ops/conv.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/frozen_conv.h>
#include <evenkeel/ops/gelu.h>
#include <evenkeel/ops/linear.h>
#include <evenkeel/ops/pool.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

constexpr ActivationKind kAll[] = {ActivationKind::relu, ActivationKind::leaky_relu,
                                   ActivationKind::sigmoid, ActivationKind::tanh};

Tensor narrow(const Shape& shape, std::uint64_t seed, Layout layout = Layout::channels_first) {
  return random_tensor(shape, DType::bf16, layout, seed);
}
Tensor wide(const Tensor& tensor) { return tensor.to(DType::f32); }

/// f(x, y) in bf16 has the bits of f in f32, rounded.
void expect_rounded(const Tensor& x, const Tensor& y_like,
                    const std::function<void(const Tensor&, Tensor&)>& f) {
  Tensor y = Tensor::like(y_like);
  Tensor y_wide = Tensor::empty(y.shape(), DType::f32, y.layout());
  f(x, y);
  f(wide(x), y_wide);
  EXPECT_TRUE(same_bits(y, y_wide.to(DType::bf16)));
}

TEST(Bf16Operators, ElementwiseResultsAreThoseOfFloatRoundedOnce) {
  const Tensor x = narrow({5, 1234}, 1);
  const Tensor other = narrow({5, 1234}, 2);
  for (const ActivationKind kind : kAll) {
    expect_rounded(x, x,
                   [&](const Tensor& in, Tensor& y) { activation_forward(kind, in, y, 0.25); });
    expect_rounded(x, x, [&](const Tensor& in, Tensor& dx) {
      activation_backward(kind, in, other.to(in.dtype()), dx, 0.25);
    });
  }
  expect_rounded(x, x, [&](const Tensor& in, Tensor& y) { gelu_forward(in, y); });
  expect_rounded(
      x, x, [&](const Tensor& in, Tensor& dx) { gelu_backward(in, other.to(in.dtype()), dx); });
  expect_rounded(x, x, [&](const Tensor& in, Tensor& y) { add(in, other.to(in.dtype()), y); });
  expect_rounded(x, x, [&](const Tensor& in, Tensor& y) {
    y.copy_from(other);
    accumulate(in, y);
  });
  expect_rounded(x, x, [&](const Tensor& in, Tensor& y) {
    Random random(7);
    Tensor mask = Tensor::empty(in.shape(), DType::u8);
    dropout_forward(in, 0.3, random, mask, y);
  });
}

void expect_rounded_pools(const Shape& shape) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor x = narrow(shape, 3, layout);
    const PoolOptions options{{3, 3, 2}, {2, 2, 1}, {1, 1, 1}};
    const Tensor y_like = narrow(pool_output_shape(x.shape(), options), 4, layout);
    for (const PoolKind kind : {PoolKind::max, PoolKind::average}) {
      Tensor memory;
      expect_rounded(x, y_like, [&](const Tensor& in, Tensor& y) {
        memory = pool_forward(kind, in, options, y, true);
      });
      expect_rounded(y_like, x, [&](const Tensor& dy, Tensor& dx) {
        pool_backward(kind, dy, memory, options, dx);
      });
    }
    expect_rounded(x, narrow({2, 5}, 5),
                   [&](const Tensor& in, Tensor& y) { global_average_pool_forward(in, y); });
    expect_rounded(narrow({2, 5}, 6), x,
                   [&](const Tensor& dy, Tensor& dx) { global_average_pool_backward(dy, dx); });
  }
}

TEST(Bf16Operators, PoolingSumsInFloatAndRoundsOnce) {
  expect_rounded_pools({2, 5, 9, 7});
  expect_rounded_pools({2, 5, 4, 5, 3});
}

/// Weights as bf16 products see them.
Tensor weight_of(const Shape& shape, std::uint64_t seed) { return wide(narrow(shape, seed)); }

/// Of results that are sums: the order of the f32 sums, then one rounding to 8 bits.
constexpr double kRounding = 1.0 / 256;

TEST(Bf16Operators, LinearMultipliesInBf16AndSumsInFloat) {
  EXPECT_TRUE(rc::check("linear in bf16", [] {
    const auto n = *rc::gen::inRange<std::int64_t>(1, 80);
    const auto k = *rc::gen::inRange<std::int64_t>(1, 150);
    const auto m = *rc::gen::inRange<std::int64_t>(1, 150);
    const bool with_bias = *rc::gen::arbitrary<bool>();
    const Tensor x = narrow({n, k}, 1);
    const Tensor dy = narrow({n, m}, 2);
    const Tensor weight = weight_of({m, k}, 3);
    const Tensor bias = with_bias ? random_tensor({m}, DType::f32, 4) : Tensor();
    Tensor y = poisoned({n, m}, DType::bf16);
    Tensor y_wide = poisoned({n, m}, DType::f32);
    linear_forward(x, weight, bias, y);
    linear_forward(wide(x), weight, bias, y_wide);
    RC_ASSERT(distance(y, y_wide) < kRounding);
    Tensor dx = poisoned({n, k}, DType::bf16);
    Tensor dx_wide = poisoned({n, k}, DType::f32);
    linear_backward_data(dy, weight, dx);
    linear_backward_data(wide(dy), weight, dx_wide);
    RC_ASSERT(distance(dx, dx_wide) < kRounding);
    Tensor dweight = random_tensor({m, k}, DType::f32, 5);
    Tensor dweight_wide = dweight.clone();
    Tensor dbias = with_bias ? random_tensor({m}, DType::f32, 6) : Tensor();
    Tensor dbias_wide = dbias.clone();
    linear_backward_weight(x, dy, dweight, dbias);
    linear_backward_weight(wide(x), wide(dy), dweight_wide, dbias_wide);
    RC_ASSERT(distance(dweight, dweight_wide) < 1e-5);  // stays f32
    if (with_bias) RC_ASSERT(same_bits(dbias, dbias_wide));
  }));
}

TEST(Bf16Operators, GradientsOfPointwiseConvolutionsHaveEveryChannel) {
  // An odd number of channels was multiplied in pairs across the pixels once.
  for (const std::int64_t channels : {1, 3, 17}) {
    const Tensor dy = narrow({2, channels, 12, 5}, 1, Layout::channels_last);
    const Tensor weight = weight_of({channels, 4, 1, 1}, 2);
    Tensor dx = poisoned({2, 4, 12, 5}, DType::bf16, Layout::channels_last);
    Tensor dx_wide = poisoned({2, 4, 12, 5}, DType::f32, Layout::channels_last);
    conv_backward_data(dy, weight, {}, dx);
    conv_backward_data(wide(dy), weight, {}, dx_wide);
    EXPECT_LT(distance(dx, dx_wide), kRounding) << channels;
  }
}

TEST(Bf16Operators, ConvolutionMultipliesInBf16AndSumsInFloat) {
  EXPECT_TRUE(rc::check("convolution in bf16", [] {
    ConvOptions options;
    options.groups = *rc::gen::element<std::int64_t>(1, 1, 2, 4);
    const std::int64_t in = options.groups * *rc::gen::inRange<std::int64_t>(1, 9);
    const std::int64_t out = options.groups * *rc::gen::inRange<std::int64_t>(1, 9);
    const auto kernel = *rc::gen::element<std::int64_t>(1, 3);
    options.stride = {*rc::gen::inRange<std::int64_t>(1, 3), 1, 1};
    options.padding = {kernel / 2, 0, 0};
    const Layout layout = any_layout();
    const auto n = *rc::gen::inRange<std::int64_t>(1, 20);
    const bool volume = *rc::gen::arbitrary<bool>();
    const Shape shape = volume ? Shape{n, in, 4, 3, 5} : Shape{n, in, 8, 7};
    const Tensor x = narrow(shape, 1, layout);
    const std::int64_t inputs = in / options.groups;
    const Tensor weight = weight_of(
        volume ? Shape{out, inputs, kernel, kernel, kernel} : Shape{out, inputs, kernel, kernel},
        2);
    const Tensor bias = random_tensor({out}, DType::f32, 3);
    const Tensor dy = narrow(conv_output_shape(shape, weight.shape(), options), 4, layout);
    Tensor y = poisoned(dy.shape(), DType::bf16, layout);
    Tensor y_wide = poisoned(dy.shape(), DType::f32, layout);
    conv_forward(x, weight, bias, options, y);
    conv_forward(wide(x), weight, bias, options, y_wide);
    RC_ASSERT(distance(y, y_wide) < kRounding);
    Tensor dx = poisoned(shape, DType::bf16, layout);
    Tensor dx_wide = poisoned(shape, DType::f32, layout);
    conv_backward_data(dy, weight, options, dx);
    conv_backward_data(wide(dy), weight, options, dx_wide);
    RC_ASSERT(distance(dx, dx_wide) < kRounding);
    Tensor dweight = random_tensor(weight.shape(), DType::f32, 5);
    Tensor dweight_wide = dweight.clone();
    Tensor dbias = random_tensor({out}, DType::f32, 6);
    Tensor dbias_wide = dbias.clone();
    conv_backward_weight(x, dy, options, dweight, dbias);
    conv_backward_weight(wide(x), wide(dy), options, dweight_wide, dbias_wide);
    RC_ASSERT(distance(dweight, dweight_wide) < 1e-5);
    RC_ASSERT(same_bits(dbias, dbias_wide));
  }));
}

TEST(Bf16Operators, FrozenConvolutionDoesWhatFollowsToo) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor x = narrow({3, 16, 6, 5}, 1, layout);
    const Tensor weight = weight_of({32, 16, 3, 3}, 2);
    const Tensor addend = narrow({3, 32, 4, 3}, 3, layout);
    const FrozenConv conv(weight, random_tensor({32}, DType::f32, 4), {},
                          ConvActivation{ActivationKind::relu});
    Tensor y = poisoned(addend.shape(), DType::bf16, layout);
    Tensor y_wide = poisoned(addend.shape(), DType::f32, layout);
    conv.forward(x, addend, y);
    conv.forward(wide(x), wide(addend), y_wide);
    EXPECT_LT(distance(y, y_wide), 2 * kRounding);  // the sum may be rounded before it is added
  }
}

TEST(Bf16Operators, SameBitsForAnyNumberOfThreads) {
  const Tensor x = narrow({64, 16, 10, 10}, 1, Layout::channels_last);
  const Tensor weight = weight_of({24, 16, 3, 3}, 2);
  const Tensor rows = narrow({64, 300}, 3);
  const Tensor matrix = weight_of({200, 300}, 4);
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 3}) {
    const Setting setting(threads, true);
    Tensor y = poisoned({64, 24, 8, 8}, DType::bf16, Layout::channels_last);
    conv_forward(x, weight, {}, {}, y);
    Tensor product = poisoned({64, 200}, DType::bf16);
    linear_forward(rows, matrix, {}, product);
    if (threads == 1) {
      results = {y, product};
    } else {
      EXPECT_TRUE(same_bits(y, results[0])) << threads;
      EXPECT_TRUE(same_bits(product, results[1])) << threads;
    }
  }
}

TEST(Bf16Operators, ParametersStayFloat) {
  const Tensor x = narrow({2, 3}, 1);
  Tensor y = poisoned({2, 4}, DType::bf16);
  EXPECT_EQ(message_of<ShapeError>([&] {
              linear_forward(x, narrow({4, 3}, 2), {}, y);
            }),
            "[linear_forward] expected weight of type f32, got bf16; convert it with to()");
}

}  // namespace
}  // namespace evenkeel::ops
