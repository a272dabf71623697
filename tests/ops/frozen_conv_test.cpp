// The convolution for inference against the operators that it stands for.
#include <thread>

#include "ops/testing.h"
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/frozen_conv.h>

namespace evenkeel::ops {
namespace {

using namespace testing;

struct Setting {
  Shape in, kernel;
  ConvOptions options;
  bool bias = true;
  std::optional<ConvActivation> activation;
};

Tensor expected(const Setting& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
                const Tensor& addend) {
  Tensor y = poisoned(conv_output_shape(s.in, s.kernel, s.options), DType::f64, x.layout());
  conv_forward(x, weight, bias, s.options, y);
  if (addend.defined()) accumulate(addend, y);
  if (s.activation) activation_forward(s.activation->kind, y, y, s.activation->slope);
  return y;
}

Tensor in(DType dtype, const Tensor& tensor) {
  return tensor.defined() ? tensor.to(dtype) : tensor;
}

/// Every form: with and without a sum, apart and into itself, in f32 and f64; called twice, since
/// the first call prepares.
void expect_like_operators(const Setting& s, Layout layout) {
  const Tensor x = random_tensor(s.in, DType::f64, layout, 1);
  const Tensor weight = random_tensor(s.kernel, DType::f64, 2);
  const Tensor bias = s.bias ? random_tensor({s.kernel[0]}, DType::f64, 3) : Tensor();
  const Shape out = conv_output_shape(s.in, s.kernel, s.options);
  const Tensor addend = random_tensor(out, DType::f64, layout, 4);
  for (const DType dtype : {DType::f32, DType::f64}) {
    const FrozenConv conv(in(dtype, weight), in(dtype, bias), s.options, s.activation);
    const double tolerance = dtype == DType::f32 ? 1e-5 : 1e-12;
    for (int call = 0; call < 2; ++call) {
      Tensor y = poisoned(out, dtype, layout);
      conv.forward(in(dtype, x), Tensor(), y);
      EXPECT_LE(distance(y, expected(s, x, weight, bias, Tensor())), tolerance);
      const Tensor sum = expected(s, x, weight, bias, addend);
      y = poisoned(out, dtype, layout);
      conv.forward(in(dtype, x), in(dtype, addend), y);
      EXPECT_LE(distance(y, sum), tolerance) << "apart";
      Tensor both = in(dtype, addend).clone();
      conv.forward(in(dtype, x), both, both);
      EXPECT_LE(distance(both, sum), tolerance) << "into";
    }
  }
}

TEST(FrozenConv, EqualsTheOperatorsItStandsFor) {
  const ConvActivation relu{}, leaky{ActivationKind::leaky_relu, 0.2};
  const std::vector<Setting> settings{
      {{2, 16, 7, 7}, {32, 16, 1, 1}, {}, true, relu},
      {{3, 8, 9, 6}, {16, 8, 3, 3}, {.stride = {2, 1}, .padding = {1, 1}}, false, relu},
      {{1, 3, 12, 12}, {16, 3, 7, 7}, {.stride = {2, 2}, .padding = {3, 3}}, true, leaky},
      {{2, 16, 8, 8}, {16, 1, 3, 3}, {.padding = {1, 1}, .groups = 16}, true, std::nullopt},
      {{2, 6, 5, 5}, {10, 3, 3, 3}, {.dilation = {2, 2}, .groups = 2}, true, relu},
      {{17, 5, 11}, {7, 5, 3}, {.padding = {1, 0}}, true, relu},
      {{2, 3, 1, 1}, {5, 3, 1, 1}, {}, true, leaky},
      {{2, 16, 4, 5, 6},
       {32, 16, 3, 3, 3},
       {.stride = {1, 2, 1}, .padding = {1, 1, 1}},
       true,
       relu},
      {{2, 6, 3, 4, 5}, {10, 3, 2, 3, 3}, {.dilation = {1, 1, 2}, .groups = 2}, true, leaky},
      {{1, 16, 3, 4, 4}, {16, 16, 1, 1, 1}, {}, false, relu},
      // Outputs of padding alone.
      {{2, 16, 5, 4}, {16, 16, 1, 1}, {.padding = {2, 0}}, true, relu},
      {{2, 16, 5, 4}, {16, 16, 1, 1}, {.padding = {2, 1}}, true, relu},
      {{2, 48, 2, 5, 7}, {16, 48, 1, 2, 1}, {.padding = {2, 1, 0}}, true, relu},
      {{2, 16, 2, 4}, {16, 16, 2, 2}, {.padding = {1, 1}, .dilation = {3, 1}}, true, relu}};
  for (const Setting& s : settings) {
    SCOPED_TRACE(s.in.str() + s.kernel.str());
    expect_like_operators(s, Layout::channels_first);
    expect_like_operators(s, Layout::channels_last);
  }
}

TEST(FrozenConv, SeveralThreadsMayUseOne) {
  const Tensor x = random_tensor({4, 16, 8, 8}, DType::f32, Layout::channels_last, 1);
  const FrozenConv conv(random_tensor({16, 16, 3, 3}, DType::f32, 2), Tensor(), {.padding = {1, 1}},
                        ConvActivation{});
  std::vector<Tensor> results;
  for (int i = 0; i < 4; ++i) results.push_back(poisoned({4, 16, 8, 8}, DType::f32, x.layout()));
  std::vector<std::thread> threads;
  for (Tensor& y : results) threads.emplace_back([&] { conv.forward(x, Tensor(), y); });
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& y : results) EXPECT_LE(distance(y, results[0]), 1e-6);
}

TEST(FrozenConv, RefusesWhatDoesNotFit) {
  const Tensor weight = random_tensor({4, 3, 3, 3}, DType::f32, 1);
  EXPECT_THROW(FrozenConv(weight, Tensor::zeros({3}), {}), ShapeError);
  EXPECT_THROW(FrozenConv(weight, Tensor(), {}, ConvActivation{ActivationKind::tanh}), UsageError);
  EXPECT_THROW(FrozenConv(weight, Tensor(), {}, ConvActivation{ActivationKind::leaky_relu, 0}),
               UsageError);
  const FrozenConv conv(weight, Tensor(), {});
  const Tensor x = random_tensor({1, 3, 5, 5}, DType::f32, 2);
  Tensor y = poisoned({1, 4, 3, 3}, DType::f32);
  EXPECT_THROW(conv.forward(random_tensor({1, 2, 5, 5}, DType::f32, 2), Tensor(), y), ShapeError);
  EXPECT_THROW(conv.forward(x.to(DType::f64), Tensor(), y), ShapeError);
  EXPECT_THROW(conv.forward(x, Tensor::zeros({1, 4, 3, 2}), y), ShapeError);
  EXPECT_TRUE(std::isnan(values_of(y)[0])) << "nothing was written";
}

}  // namespace
}  // namespace evenkeel::ops
