#include <algorithm>
#include <cmath>

#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/pair_options.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x436f6e7654;  // of the values a layer begins with

constexpr std::int64_t kLargest = std::int64_t{1} << 30;  // of a size: products stay in 64 bits

Pair pair_of(const std::array<std::int64_t, 2>& values) { return {values[0], values[1]}; }

void add_bias(const Tensor& bias, Tensor& y) {
  const auto [n, c, s] = channel_dims(y.shape(), "ConvTranspose");
  const bool first = y.layout() == Layout::channels_first;
  with_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto* const from = bias.data<Arithmetic<T>>();
    T* const to = y.data<T>();
    const auto add = [](T& value, Arithmetic<T> more) { value = stored<T>(widened(value) + more); };
    if (first) {
      parallel_for(n * c, s, [&, s = s, c = c](std::int64_t row) {
        for (std::int64_t i = 0; i < s; ++i) add(to[row * s + i], from[row % c]);
      });
    } else {
      parallel_for(n * s, c, [&, c = c](std::int64_t row) {
        for (std::int64_t i = 0; i < c; ++i) add(to[row * c + i], from[i]);
      });
    }
  });
}

/// The sum over everything but the channels.
Tensor bias_gradient(const Tensor& dy) {
  const auto [n, c, s] = channel_dims(dy.shape(), "ConvTranspose");
  Tensor result = Tensor::empty({c}, parameter_dtype(dy.dtype()));
  const Tensor rows = dy.to(Layout::channels_first).reshape({n, c, s});
  sum_elements(OffsetMap::broadcast(rows.shape(), {c, 1}), rows, 1, result);
  return result;
}

}  // namespace

TransposedConvolution::TransposedConvolution(int spatial_rank, std::int64_t in_channels,
                                             std::int64_t out_channels, Pair kernel,
                                             const ops::ConvOptions& geometry, Pair output_padding,
                                             bool bias)
    : spatial_rank_(spatial_rank),
      in_(in_channels),
      out_(out_channels),
      kernel_(kernel),
      geometry_(geometry),
      output_padding_(output_padding),
      bias_(bias) {
  const std::string_view name = spatial_rank_ == 1 ? "ConvTranspose1d" : "ConvTranspose2d";
  expect_at_least(name, "in_channels", in_, 1);
  expect_at_least(name, "out_channels", out_, 1);
  expect_at_least(name, "groups", geometry_.groups, 1);
  expect_at_least(name, "kernel_size", std::min(kernel_.height, kernel_.width), 1);
  for (const std::size_t i : {0u, 1u}) {
    expect_at_least(name, "stride", geometry_.stride[i], 1);
    expect_at_least(name, "padding", geometry_.padding[i], 0);
    expect_at_least(name, "dilation", geometry_.dilation[i], 1);
    const std::int64_t added = i == 0 ? output_padding_.height : output_padding_.width;
    expect_at_least(name, "output_padding", added, 0);
    if (std::max({geometry_.stride[i], geometry_.padding[i], geometry_.dilation[i]}) > kLargest ||
        std::max(kernel_.height, kernel_.width) > kLargest) {
      fail<UsageError>("[{}] expected sizes of at most {}", name, kLargest);
    }
    if (added >= geometry_.stride[i]) {
      fail<UsageError>("[{}] expected output_padding below the stride {}, got {}", name,
                       geometry_.stride[i], added);
    }
  }
  if (in_ % geometry_.groups != 0 || out_ % geometry_.groups != 0) {
    fail<UsageError>("[{}] expected groups that divide both {} and {} channels, got {}", name, in_,
                     out_, geometry_.groups);
  }
  const std::int64_t depth = out_ / geometry_.groups;
  register_parameter("weight",
                     spatial_rank_ == 1 ? Shape{in_, depth, kernel_.height}
                                        : Shape{in_, depth, kernel_.height, kernel_.width},
                     ParameterKind::weight);
  if (bias_) register_parameter("bias", {out_}, ParameterKind::bias);
  Random random(0, kStream);
  TransposedConvolution::reset_parameters(random);
}

Options TransposedConvolution::options() const {
  return {{"in_channels", in_},
          {"out_channels", out_},
          {"kernel_size", pair_value(spatial_rank_, kernel_)},
          {"stride", pair_value(spatial_rank_, pair_of(geometry_.stride))},
          {"padding", pair_value(spatial_rank_, pair_of(geometry_.padding))},
          {"output_padding", pair_value(spatial_rank_, output_padding_)},
          {"dilation", pair_value(spatial_rank_, pair_of(geometry_.dilation))},
          {"groups", geometry_.groups},
          {"bias", bias_}};
}

Parameter& TransposedConvolution::bias() {
  if (!bias_) fail<UsageError>("[{}] has no bias; build it with bias", label());
  return parameter(1);
}

Shape TransposedConvolution::output_shape(const Shape& input) const {
  expect_spatial(*this, input, spatial_rank_, in_);
  Shape result = input.with(1, out_);
  for (int i = 0; i < spatial_rank_; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    const std::int64_t kernel = i == 0 ? kernel_.height : kernel_.width;
    const std::int64_t added = i == 0 ? output_padding_.height : output_padding_.width;
    if (input[2 + i] > kLargest) {
      fail<ShapeError>("[{}] expected extents of at most {}, got {}", label(), kLargest,
                       input.str());
    }
    const std::int64_t extent = (input[2 + i] - 1) * geometry_.stride[axis] -
                                2 * geometry_.padding[axis] +
                                geometry_.dilation[axis] * (kernel - 1) + added + 1;
    if (input[2 + i] < 1 || extent < 1) {
      fail<ShapeError>("[{}] nothing is left in dimension {} of {}; use less padding", label(),
                       2 + i, input.str());
    }
    result = result.with(2 + i, extent);
  }
  return result;
}

Tensor TransposedConvolution::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  expect_float(*this, x);
  expect_dtype(*this, x, weight());
  Tensor y = Tensor::empty(shape, x.dtype(), x.layout());
  ops::conv_backward_data(x, weight().value, geometry_, y);
  if (bias_) add_bias(bias().value, y);
  if (recording()) saved_.push(x);
  return y;
}

Tensor TransposedConvolution::backward(const Tensor& dy) {
  const Tensor x = saved_.top(*this);
  const Tensor gradient =
      expect_gradient(*this, dy, output_shape(x.shape()), x.dtype(), x.layout());
  Tensor dweight = Tensor::zeros(weight().grad.shape(), weight().grad.dtype());
  Tensor none;
  ops::conv_backward_weight(gradient, x, geometry_, dweight, none);
  Tensor dbias;
  if (bias_) dbias = bias_gradient(gradient);
  Tensor dx;
  if (needs_input_gradient()) {
    dx = Tensor::like(x);
    ops::conv_forward(gradient, weight().value, none, geometry_, dx);
  }
  ops::accumulate(dweight, weight().grad);
  if (bias_) ops::accumulate(dbias, bias().grad);
  saved_.pop();
  return dx;
}

void TransposedConvolution::reset_parameters(Random& random) {
  const double fan = static_cast<double>(init::fans_of(weight().value.shape()).in);
  const double bound = 1 / std::sqrt(fan);
  init::uniform(weight().value, random, -bound, bound);
  if (bias_) init::uniform(bias().value, random, -bound, bound);
}

ConvTranspose1d::ConvTranspose1d(std::int64_t in_channels, std::int64_t out_channels,
                                 std::int64_t kernel_size, ConvTranspose1dOptions options)
    : Cloneable(1, in_channels, out_channels, Pair(kernel_size, 1),
                ops::ConvOptions{.stride = {options.stride, 1},
                                 .padding = {options.padding, 0},
                                 .dilation = {options.dilation, 1},
                                 .groups = options.groups},
                Pair(options.output_padding, 0), options.bias) {}

ConvTranspose2d::ConvTranspose2d(std::int64_t in_channels, std::int64_t out_channels,
                                 Pair kernel_size, ConvTranspose2dOptions options)
    : Cloneable(2, in_channels, out_channels, kernel_size,
                ops::ConvOptions{.stride = {options.stride.height, options.stride.width},
                                 .padding = {options.padding.height, options.padding.width},
                                 .dilation = {options.dilation.height, options.dilation.width},
                                 .groups = options.groups},
                options.output_padding, options.bias) {}

LayerRow conv_transpose1d_row() {
  const std::int64_t two = 2, three = 3, four = 4, one = 1;
  return {"ConvTranspose1d",
          "transposed convolution over [N, C, L]: in_channels, out_channels, kernel_size, stride, "
          "padding, output_padding, dilation, groups, bias",
          [](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_channels", "ConvTranspose1d");
            const std::int64_t out = options.require_int("out_channels", "ConvTranspose1d");
            const std::int64_t kernel = options.require_int("kernel_size", "ConvTranspose1d");
            ConvTranspose1dOptions rest;
            rest.stride = options.get("stride", rest.stride);
            rest.padding = options.get("padding", rest.padding);
            rest.output_padding = options.get("output_padding", rest.output_padding);
            rest.dilation = options.get("dilation", rest.dilation);
            rest.groups = options.get("groups", rest.groups);
            rest.bias = options.get("bias", rest.bias);
            return std::make_unique<ConvTranspose1d>(in, out, kernel, rest);
          },
          {{{{"in_channels", two}, {"out_channels", three}, {"kernel_size", three}}, {2, 2, 4}},
           {{{"in_channels", four},
             {"out_channels", two},
             {"kernel_size", three},
             {"stride", two},
             {"padding", one},
             {"output_padding", one},
             {"groups", two},
             {"bias", false}},
            {2, 4, 3}}}};
}

LayerRow conv_transpose2d_row() {
  const std::int64_t two = 2, three = 3, four = 4;
  const auto pair = [](std::int64_t h, std::int64_t w) { return std::vector<std::int64_t>{h, w}; };
  return {"ConvTranspose2d",
          "transposed convolution over [N, C, H, W]: in_channels, out_channels, kernel_size, "
          "stride, padding, output_padding, dilation, groups, bias",
          [](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_channels", "ConvTranspose2d");
            const std::int64_t out = options.require_int("out_channels", "ConvTranspose2d");
            const Pair kernel = require_pair(options, "kernel_size", "ConvTranspose2d");
            ConvTranspose2dOptions rest;
            rest.stride = get_pair(options, "stride", rest.stride, "ConvTranspose2d");
            rest.padding = get_pair(options, "padding", rest.padding, "ConvTranspose2d");
            rest.output_padding =
                get_pair(options, "output_padding", rest.output_padding, "ConvTranspose2d");
            rest.dilation = get_pair(options, "dilation", rest.dilation, "ConvTranspose2d");
            rest.groups = options.get("groups", rest.groups);
            rest.bias = options.get("bias", rest.bias);
            return std::make_unique<ConvTranspose2d>(in, out, kernel, rest);
          },
          {{{{"in_channels", two}, {"out_channels", three}, {"kernel_size", three}}, {2, 2, 3, 2}},
           {{{"in_channels", four},
             {"out_channels", two},
             {"kernel_size", pair(3, 2)},
             {"stride", pair(2, 3)},
             {"padding", pair(1, 0)},
             {"output_padding", pair(1, 2)},
             {"dilation", pair(1, 2)},
             {"groups", two}},
            {2, 4, 2, 3}}}};
}

}  // namespace evenkeel::nn
