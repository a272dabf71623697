#include <cmath>
#include <optional>

#include "nn/layers/checks.h"
#include "nn/layers/pair_options.h"
#include "nn/layers/rows.h"
#include "nn/layers/weight_standardization.h"
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x436f6e76;  // of the values a layer begins with

Pair pair_of(const std::array<std::int64_t, 2>& values) { return {values[0], values[1]}; }

ops::ConvOptions geometry_of(const Conv1dOptions& options) {
  return {.stride = {options.stride, 1},
          .padding = {options.padding, 0},
          .dilation = {options.dilation, 1},
          .groups = options.groups};
}

ops::ConvOptions geometry_of(const Conv2dOptions& options) {
  return {.stride = {options.stride.height, options.stride.width},
          .padding = {options.padding.height, options.padding.width},
          .dilation = {options.dilation.height, options.dilation.width},
          .groups = options.groups};
}

}  // namespace

Convolution::Convolution(int spatial_rank, std::int64_t in_channels, std::int64_t out_channels,
                         Pair kernel, const ops::ConvOptions& geometry, bool bias,
                         bool weight_standardization, double weight_eps)
    : spatial_rank_(spatial_rank),
      in_(in_channels),
      out_(out_channels),
      kernel_(kernel),
      geometry_(geometry),
      bias_(bias),
      weight_standardization_(weight_standardization),
      weight_eps_(weight_eps) {
  check_options();
  const std::int64_t depth = in_ / geometry_.groups;
  register_parameter("weight",
                     spatial_rank_ == 1 ? Shape{out_, depth, kernel_.height}
                                        : Shape{out_, depth, kernel_.height, kernel_.width},
                     ParameterKind::weight);
  if (bias_) register_parameter("bias", {out_}, ParameterKind::bias);
  Random random(0, kStream);
  Convolution::reset_parameters(random);
}

void Convolution::check_options() const {
  const std::string_view name = spatial_rank_ == 1 ? "Conv1d" : "Conv2d";
  expect_at_least(name, "in_channels", in_, 1);
  expect_at_least(name, "out_channels", out_, 1);
  expect_at_least(name, "groups", geometry_.groups, 1);
  expect_at_least(name, "kernel_size", std::min(kernel_.height, kernel_.width), 1);
  for (const std::size_t i : {0u, 1u}) {
    expect_at_least(name, "stride", geometry_.stride[i], 1);
    expect_at_least(name, "padding", geometry_.padding[i], 0);
    expect_at_least(name, "dilation", geometry_.dilation[i], 1);
  }
  if (in_ % geometry_.groups != 0 || out_ % geometry_.groups != 0) {
    fail<UsageError>("[{}] expected groups that divide both {} and {} channels, got {}", name, in_,
                     out_, geometry_.groups);
  }
  if (!weight_standardization_) return;
  if (!(weight_eps_ >= 0) || !std::isfinite(weight_eps_)) {
    fail<UsageError>("[{}] expected weight_eps of 0 or more, got {}; 1e-5 is usual", name,
                     weight_eps_);
  }
  if (in_ / geometry_.groups * kernel_.height * kernel_.width == 1) {
    fail<UsageError>(
        "[{}] expected more than one weight per output channel to standardize, got {} channels in "
        "{} groups and a kernel of 1; leave weight_standardization out",
        name, in_, geometry_.groups);
  }
}

Options Convolution::options() const {
  Options result{{"in_channels", in_},
                 {"out_channels", out_},
                 {"kernel_size", pair_value(spatial_rank_, kernel_)}};
  result.set("stride", pair_value(spatial_rank_, pair_of(geometry_.stride)));
  result.set("padding", pair_value(spatial_rank_, pair_of(geometry_.padding)));
  result.set("dilation", pair_value(spatial_rank_, pair_of(geometry_.dilation)));
  result.set("groups", geometry_.groups);
  result.set("bias", bias_);
  if (weight_standardization_) {
    result.set("weight_standardization", true);
    result.set("weight_eps", weight_eps_);
  }
  return result;
}

std::string Convolution::mode_note() const {
  return weight_standardization_ ? "standardized weights" : "";
}

Parameter& Convolution::bias() {
  if (!bias_) fail<UsageError>("[{}] has no bias; build it with bias", label());
  return parameter(1);
}

Shape Convolution::output_shape(const Shape& input) const {
  expect_spatial(*this, input, spatial_rank_, in_);
  Shape result = input.with(1, out_);
  for (int i = 0; i < spatial_rank_; ++i) {
    const auto axis = static_cast<std::size_t>(i);
    const std::int64_t kernel = i == 0 ? kernel_.height : kernel_.width;
    const std::int64_t reach = geometry_.dilation[axis] * (kernel - 1) + 1;
    const std::int64_t padded = input[2 + i] + 2 * geometry_.padding[axis];
    if (padded < reach) {
      fail<ShapeError>(
          "[{}] expected at least {} positions in dimension {} with its padding, got {} from {}; "
          "use a larger input, more padding or a smaller kernel",
          label(), reach, 2 + i, padded, input.str());
    }
    result = result.with(2 + i, (padded - reach) / geometry_.stride[axis] + 1);
  }
  return result;
}

Tensor Convolution::effective_weight() const {
  const Tensor& weight = parameter(0).value;
  return weight_standardization_ ? StandardizedWeight(weight, weight_eps_).value() : weight;
}

Tensor Convolution::forward(const Tensor& x) {
  const Shape shape = output_shape(x.shape());
  expect_dtype(*this, x, weight());
  Tensor y = Tensor::empty(shape, x.dtype(), x.layout());
  const Tensor none;
  ops::conv_forward(x, effective_weight(), bias_ ? bias().value : none, geometry_, y);
  if (recording()) saved_.push(Kept(x));
  return y;
}

Tensor Convolution::backward(const Tensor& dy) {
  const Kept& kept = saved_.top(*this);
  const Shape in = kept.shape();
  const Tensor gradient = expect_gradient(*this, dy, output_shape(in), kept.dtype(), kept.layout());
  std::optional<StandardizedWeight> standard;
  if (weight_standardization_) standard.emplace(weight().value, weight_eps_);
  // The gradients of the parameters first, in memory of their own until nothing more can fail: an x
  // that is computed again goes before there is dx.
  Tensor dweight = Tensor::zeros(weight().grad.shape(), weight().grad.dtype());
  Tensor dbias;
  if (bias_) dbias = Tensor::zeros({out_}, bias().grad.dtype());
  ops::conv_backward_weight(kept.tensor(), gradient, geometry_, dweight, dbias);
  Tensor dx;
  if (needs_input_gradient()) {
    dx = Tensor::empty(in, gradient.dtype(), gradient.layout());
    ops::conv_backward_data(gradient, standard ? standard->value() : weight().value, geometry_, dx);
  }
  if (standard) {
    standard->accumulate(dweight, weight().grad);
  } else {
    ops::accumulate(dweight, weight().grad);
  }
  if (bias_) ops::accumulate(dbias, bias().grad);
  saved_.pop();
  return dx;
}

void Convolution::reset_parameters(Random& random) {
  const double fan = static_cast<double>(init::fans_of(weight().value.shape()).in);
  const double bound = 1 / std::sqrt(fan);
  init::uniform(weight().value, random, -bound, bound);
  if (bias_) init::uniform(bias().value, random, -bound, bound);
}

Conv1d::Conv1d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel_size,
               Conv1dOptions options)
    : Cloneable(1, in_channels, out_channels, Pair(kernel_size, 1), geometry_of(options),
                options.bias, options.weight_standardization, options.weight_eps) {}

Conv2d::Conv2d(std::int64_t in_channels, std::int64_t out_channels, Pair kernel_size,
               Conv2dOptions options)
    : Cloneable(2, in_channels, out_channels, kernel_size, geometry_of(options), options.bias,
                options.weight_standardization, options.weight_eps) {}

LayerRow conv1d_row() {
  const std::int64_t one = 1;
  const std::int64_t two = 2;
  const std::int64_t three = 3;
  const std::int64_t four = 4;
  return {"Conv1d",
          "convolution over [N, C, L]: in_channels, out_channels, kernel_size, stride, padding, "
          "dilation, groups, bias, weight_standardization, weight_eps",
          [](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_channels", "Conv1d");
            const std::int64_t out = options.require_int("out_channels", "Conv1d");
            const std::int64_t kernel = options.require_int("kernel_size", "Conv1d");
            Conv1dOptions rest;
            rest.stride = options.get("stride", rest.stride);
            rest.padding = options.get("padding", rest.padding);
            rest.dilation = options.get("dilation", rest.dilation);
            rest.groups = options.get("groups", rest.groups);
            rest.bias = options.get("bias", rest.bias);
            rest.weight_standardization =
                options.get("weight_standardization", rest.weight_standardization);
            rest.weight_eps = options.get("weight_eps", rest.weight_eps);
            return std::make_unique<Conv1d>(in, out, kernel, rest);
          },
          {{{{"in_channels", two}, {"out_channels", three}, {"kernel_size", three}}, {2, 2, 6}},
           {{{"in_channels", four},
             {"out_channels", two},
             {"kernel_size", two},
             {"stride", two},
             {"padding", one},
             {"dilation", two},
             {"groups", two},
             {"bias", false}},
            {2, 4, 7}},
           {{{"in_channels", four},
             {"out_channels", two},
             {"kernel_size", three},
             {"groups", two},
             {"weight_standardization", true}},
            {2, 4, 5}}}};
}

LayerRow conv2d_row() {
  const std::int64_t two = 2;
  const std::int64_t three = 3;
  const std::int64_t four = 4;
  const auto pair = [](std::int64_t h, std::int64_t w) { return std::vector<std::int64_t>{h, w}; };
  return {"Conv2d",
          "convolution over [N, C, H, W]: in_channels, out_channels, kernel_size, stride, padding, "
          "dilation, groups, bias, weight_standardization, weight_eps",
          [](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_channels", "Conv2d");
            const std::int64_t out = options.require_int("out_channels", "Conv2d");
            const Pair kernel = require_pair(options, "kernel_size", "Conv2d");
            Conv2dOptions rest;
            rest.stride = get_pair(options, "stride", rest.stride, "Conv2d");
            rest.padding = get_pair(options, "padding", rest.padding, "Conv2d");
            rest.dilation = get_pair(options, "dilation", rest.dilation, "Conv2d");
            rest.groups = options.get("groups", rest.groups);
            rest.bias = options.get("bias", rest.bias);
            rest.weight_standardization =
                options.get("weight_standardization", rest.weight_standardization);
            rest.weight_eps = options.get("weight_eps", rest.weight_eps);
            return std::make_unique<Conv2d>(in, out, kernel, rest);
          },
          {{{{"in_channels", two}, {"out_channels", three}, {"kernel_size", three}}, {2, 2, 4, 5}},
           {{{"in_channels", four},
             {"out_channels", two},
             {"kernel_size", pair(3, 2)},
             {"stride", pair(2, 1)},
             {"padding", pair(1, 2)},
             {"dilation", pair(1, 2)},
             {"groups", two},
             {"bias", false}},
            {2, 4, 5, 4}},
           {{{"in_channels", two},
             {"out_channels", three},
             {"kernel_size", pair(3, 2)},
             {"padding", pair(1, 0)},
             {"weight_standardization", true},
             {"weight_eps", 1e-3}},
            {2, 2, 4, 3}}}};
}

}  // namespace evenkeel::nn
