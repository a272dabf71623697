#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"
#include "nn/layers/size_options.h"
#include "nn/layers/weight_standardization.h"
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x436f6e76;  // of the values a layer begins with

std::string_view name_of(int spatial_rank) {
  constexpr std::array<std::string_view, ops::kMostSpatial> kNames{"Conv1d", "Conv2d", "Conv3d"};
  return kNames[static_cast<std::size_t>(spatial_rank - 1)];
}

}  // namespace

Convolution::Convolution(int spatial_rank, std::int64_t in_channels, std::int64_t out_channels,
                         const ops::Spatial& kernel, const ops::ConvOptions& geometry, bool bias,
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
  register_parameter("weight", weight_shape(out_, in_ / geometry_.groups, spatial_rank_, kernel_),
                     ParameterKind::weight);
  if (bias_) register_parameter("bias", {out_}, ParameterKind::bias);
  Random random(0, kStream);
  Convolution::reset_parameters(random);
}

std::string_view Convolution::type() const { return name_of(spatial_rank_); }

void Convolution::check_options() const {
  const std::string_view name = name_of(spatial_rank_);
  expect_at_least(name, "in_channels", in_, 1);
  expect_at_least(name, "out_channels", out_, 1);
  expect_at_least(name, "groups", geometry_.groups, 1);
  expect_at_least(name, "kernel_size", *std::ranges::min_element(kernel_), 1);
  for (std::size_t i = 0; i < kernel_.size(); ++i) {
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
  if (in_ == geometry_.groups && *std::ranges::max_element(kernel_) == 1) {
    fail<UsageError>(
        "[{}] expected more than one weight per output channel to standardize, got {} channels in "
        "{} groups and a kernel of 1; leave weight_standardization out",
        name, in_, geometry_.groups);
  }
}

Options Convolution::options() const {
  Options result{{"in_channels", in_},
                 {"out_channels", out_},
                 {"kernel_size", size_value(spatial_rank_, kernel_)}};
  result.set("stride", size_value(spatial_rank_, geometry_.stride));
  result.set("padding", size_value(spatial_rank_, geometry_.padding));
  result.set("dilation", size_value(spatial_rank_, geometry_.dilation));
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
    const std::int64_t reach = geometry_.dilation[axis] * (kernel_[axis] - 1) + 1;
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

template <int Rank>
ConvNd<Rank>::ConvNd(std::int64_t in_channels, std::int64_t out_channels, Sizes<Rank> kernel_size,
                     ConvolutionOptions<Rank> options)
    : Cloneable<ConvNd<Rank>, Convolution>(
          Rank, in_channels, out_channels, spatial_of(kernel_size, 1),
          {.stride = spatial_of(options.stride, 1),
           .padding = spatial_of(options.padding, 0),
           .dilation = spatial_of(options.dilation, 1),
           .groups = options.groups},
          options.bias, options.weight_standardization, options.weight_eps) {}

template class ConvNd<1>;
template class ConvNd<2>;
template class ConvNd<3>;

namespace {

template <int Rank>
LayerRow row_of(std::vector<LayerSample> samples) {
  const std::string name(name_of(Rank));
  return {name,
          fmt::format("convolution over {}: in_channels, out_channels, kernel_size, stride, "
                      "padding, dilation, groups, bias, weight_standardization, weight_eps",
                      pattern_of(Rank, 0)),
          [name](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_channels", name);
            const std::int64_t out = options.require_int("out_channels", name);
            const auto kernel = get_required_sizes<Rank>(options, "kernel_size", name);
            ConvolutionOptions<Rank> rest;
            rest.stride = get_sizes(options, "stride", rest.stride, name);
            rest.padding = get_sizes(options, "padding", rest.padding, name);
            rest.dilation = get_sizes(options, "dilation", rest.dilation, name);
            rest.groups = options.get("groups", rest.groups);
            rest.bias = options.get("bias", rest.bias);
            rest.weight_standardization =
                options.get("weight_standardization", rest.weight_standardization);
            rest.weight_eps = options.get("weight_eps", rest.weight_eps);
            return std::make_unique<ConvNd<Rank>>(in, out, kernel, rest);
          },
          std::move(samples)};
}

constexpr std::int64_t kOne = 1, kTwo = 2, kThree = 3, kFour = 4;
using Each = std::vector<std::int64_t>;

}  // namespace

LayerRow conv1d_row() {
  return row_of<1>(
      {{{{"in_channels", kTwo}, {"out_channels", kThree}, {"kernel_size", kThree}}, {2, 2, 6}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", kTwo},
         {"stride", kTwo},
         {"padding", kOne},
         {"dilation", kTwo},
         {"groups", kTwo},
         {"bias", false}},
        {2, 4, 7}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", kThree},
         {"groups", kTwo},
         {"weight_standardization", true}},
        {2, 4, 5}}});
}

LayerRow conv2d_row() {
  return row_of<2>(
      {{{{"in_channels", kTwo}, {"out_channels", kThree}, {"kernel_size", kThree}}, {2, 2, 4, 5}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", Each{3, 2}},
         {"stride", Each{2, 1}},
         {"padding", Each{1, 2}},
         {"dilation", Each{1, 2}},
         {"groups", kTwo},
         {"bias", false}},
        {2, 4, 5, 4}},
       {{{"in_channels", kTwo},
         {"out_channels", kThree},
         {"kernel_size", Each{3, 2}},
         {"padding", Each{1, 0}},
         {"weight_standardization", true},
         {"weight_eps", 1e-3}},
        {2, 2, 4, 3}}});
}

LayerRow conv3d_row() {
  return row_of<3>(
      {{{{"in_channels", kTwo}, {"out_channels", kThree}, {"kernel_size", kTwo}}, {2, 2, 3, 2, 4}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", Each{2, 3, 1}},
         {"stride", Each{1, 2, 1}},
         {"padding", Each{1, 0, 1}},
         {"dilation", Each{2, 1, 1}},
         {"groups", kTwo},
         {"bias", false}},
        {2, 4, 2, 4, 2}},
       {{{"in_channels", kTwo},
         {"out_channels", kThree},
         {"kernel_size", Each{1, 2, 2}},
         {"padding", Each{0, 1, 0}},
         {"weight_standardization", true},
         {"weight_eps", 1e-3}},
        {2, 2, 2, 2, 3}}});
}

}  // namespace evenkeel::nn
