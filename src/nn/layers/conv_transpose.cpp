#include <algorithm>
#include <array>
#include <cmath>

#include "nn/layers/checks.h"
#include "nn/layers/offset_map.h"
#include "nn/layers/rows.h"
#include "nn/layers/sequence_rows.h"
#include "nn/layers/size_options.h"
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel::nn {
namespace {

constexpr std::uint64_t kStream = 0x436f6e7654;  // of the values a layer begins with

constexpr std::int64_t kLargest = std::int64_t{1} << 30;  // of a size: products stay in 64 bits

std::string_view name_of(int spatial_rank) {
  constexpr std::array<std::string_view, ops::kMostSpatial> kNames{
      "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"};
  return kNames[static_cast<std::size_t>(spatial_rank - 1)];
}

void add_bias(const Tensor& bias, Tensor& y) {
  const ChannelDims dims = channel_dims(y.shape(), "ConvTranspose");
  const std::int64_t c = dims.c, s = dims.s;
  const bool first = y.layout() == Layout::channels_first;
  with_dtype(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto* const from = bias.data<Arithmetic<T>>();
    T* const to = y.data<T>();
    const auto add = [](T& value, Arithmetic<T> more) { value = stored<T>(widened(value) + more); };
    if (first) {
      parallel_for(dims.n * c, s, [&](std::int64_t row) {
        for (std::int64_t i = 0; i < s; ++i) add(to[row * s + i], from[row % c]);
      });
    } else {
      parallel_for(dims.n * s, c, [&](std::int64_t row) {
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
                                             std::int64_t out_channels, const ops::Spatial& kernel,
                                             const ops::ConvOptions& geometry,
                                             const ops::Spatial& output_padding, bool bias)
    : spatial_rank_(spatial_rank),
      in_(in_channels),
      out_(out_channels),
      kernel_(kernel),
      geometry_(geometry),
      output_padding_(output_padding),
      bias_(bias) {
  const std::string_view name = name_of(spatial_rank_);
  expect_at_least(name, "in_channels", in_, 1);
  expect_at_least(name, "out_channels", out_, 1);
  expect_at_least(name, "groups", geometry_.groups, 1);
  expect_at_least(name, "kernel_size", *std::ranges::min_element(kernel_), 1);
  for (std::size_t i = 0; i < kernel_.size(); ++i) {
    expect_at_least(name, "stride", geometry_.stride[i], 1);
    expect_at_least(name, "padding", geometry_.padding[i], 0);
    expect_at_least(name, "dilation", geometry_.dilation[i], 1);
    const std::int64_t added = output_padding_[i];
    expect_at_least(name, "output_padding", added, 0);
    if (std::max({geometry_.stride[i], geometry_.padding[i], geometry_.dilation[i], kernel_[i]}) >
        kLargest) {
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
  register_parameter("weight", weight_shape(in_, out_ / geometry_.groups, spatial_rank_, kernel_),
                     ParameterKind::weight);
  if (bias_) register_parameter("bias", {out_}, ParameterKind::bias);
  Random random(0, kStream);
  TransposedConvolution::reset_parameters(random);
}

std::string_view TransposedConvolution::type() const { return name_of(spatial_rank_); }

Options TransposedConvolution::options() const {
  return {{"in_channels", in_},
          {"out_channels", out_},
          {"kernel_size", size_value(spatial_rank_, kernel_)},
          {"stride", size_value(spatial_rank_, geometry_.stride)},
          {"padding", size_value(spatial_rank_, geometry_.padding)},
          {"output_padding", size_value(spatial_rank_, output_padding_)},
          {"dilation", size_value(spatial_rank_, geometry_.dilation)},
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
    if (input[2 + i] > kLargest) {
      fail<ShapeError>("[{}] expected extents of at most {}, got {}", label(), kLargest,
                       input.str());
    }
    const std::int64_t extent =
        (input[2 + i] - 1) * geometry_.stride[axis] - 2 * geometry_.padding[axis] +
        geometry_.dilation[axis] * (kernel_[axis] - 1) + output_padding_[axis] + 1;
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

template <int Rank>
ConvTransposeNd<Rank>::ConvTransposeNd(std::int64_t in_channels, std::int64_t out_channels,
                                       Sizes<Rank> kernel_size,
                                       TransposedConvolutionOptions<Rank> options)
    : Cloneable<ConvTransposeNd<Rank>, TransposedConvolution>(
          Rank, in_channels, out_channels, spatial_of(kernel_size, 1),
          ops::ConvOptions{.stride = spatial_of(options.stride, 1),
                           .padding = spatial_of(options.padding, 0),
                           .dilation = spatial_of(options.dilation, 1),
                           .groups = options.groups},
          spatial_of(options.output_padding, 0), options.bias) {}

template class ConvTransposeNd<1>;
template class ConvTransposeNd<2>;
template class ConvTransposeNd<3>;

namespace {

template <int Rank>
LayerRow row_of(std::vector<LayerSample> samples) {
  const std::string name(name_of(Rank));
  return {name,
          fmt::format("transposed convolution over {}: in_channels, out_channels, kernel_size, "
                      "stride, padding, output_padding, dilation, groups, bias",
                      pattern_of(Rank, 0)),
          [name](const Options& options) -> std::unique_ptr<Module> {
            const std::int64_t in = options.require_int("in_channels", name);
            const std::int64_t out = options.require_int("out_channels", name);
            const auto kernel = get_required_sizes<Rank>(options, "kernel_size", name);
            TransposedConvolutionOptions<Rank> rest;
            rest.stride = get_sizes(options, "stride", rest.stride, name);
            rest.padding = get_sizes(options, "padding", rest.padding, name);
            rest.output_padding = get_sizes(options, "output_padding", rest.output_padding, name);
            rest.dilation = get_sizes(options, "dilation", rest.dilation, name);
            rest.groups = options.get("groups", rest.groups);
            rest.bias = options.get("bias", rest.bias);
            return std::make_unique<ConvTransposeNd<Rank>>(in, out, kernel, rest);
          },
          std::move(samples)};
}

constexpr std::int64_t kOne = 1, kTwo = 2, kThree = 3, kFour = 4;
using Each = std::vector<std::int64_t>;

}  // namespace

LayerRow conv_transpose1d_row() {
  return row_of<1>(
      {{{{"in_channels", kTwo}, {"out_channels", kThree}, {"kernel_size", kThree}}, {2, 2, 4}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", kThree},
         {"stride", kTwo},
         {"padding", kOne},
         {"output_padding", kOne},
         {"groups", kTwo},
         {"bias", false}},
        {2, 4, 3}}});
}

LayerRow conv_transpose2d_row() {
  return row_of<2>(
      {{{{"in_channels", kTwo}, {"out_channels", kThree}, {"kernel_size", kThree}}, {2, 2, 3, 2}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", Each{3, 2}},
         {"stride", Each{2, 3}},
         {"padding", Each{1, 0}},
         {"output_padding", Each{1, 2}},
         {"dilation", Each{1, 2}},
         {"groups", kTwo}},
        {2, 4, 2, 3}}});
}

LayerRow conv_transpose3d_row() {
  return row_of<3>(
      {{{{"in_channels", kTwo}, {"out_channels", kThree}, {"kernel_size", kTwo}}, {2, 2, 2, 3, 1}},
       {{{"in_channels", kFour},
         {"out_channels", kTwo},
         {"kernel_size", Each{1, 2, 3}},
         {"stride", Each{2, 1, 2}},
         {"padding", Each{0, 1, 1}},
         {"output_padding", Each{1, 0, 1}},
         {"dilation", Each{1, 2, 1}},
         {"groups", kTwo}},
        {2, 4, 2, 2, 2}}});
}

}  // namespace evenkeel::nn
