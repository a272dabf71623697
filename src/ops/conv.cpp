#include "ops/onednn/conv.h"

#include "ops/check.h"
#include "ops/column_sums.h"
#include "ops/conv_geometry.h"
#include "ops/reference/conv.h"
#include <evenkeel/ops/conv.h>

namespace evenkeel::ops {
namespace {

void check_options(std::string_view op, const ConvOptions& options, int spatial) {
  for (int d = 0; d < spatial; ++d) {
    const auto i = static_cast<std::size_t>(d);
    if (options.stride[i] < 1 || options.dilation[i] < 1 || options.padding[i] < 0) {
      fail<ShapeError>(
          "[{}] expected stride and dilation of at least 1 and padding of at least 0, got stride "
          "{}, dilation {}, padding {}",
          op, options.stride[i], options.dilation[i], options.padding[i]);
    }
  }
  if (options.groups < 1) {
    fail<ShapeError>("[{}] expected at least 1 group, got {}", op, options.groups);
  }
}

ConvGeometry geometry_of(std::string_view op, const Shape& x, const Shape& weight,
                         const ConvOptions& options) {
  if (x.rank() != 3 && x.rank() != 4) {
    fail<ShapeError>("[{}] expected an input [N, C, L] or [N, C, H, W], got {}", op, x.str());
  }
  if (weight.rank() != x.rank()) {
    fail<ShapeError>("[{}] expected a weight of rank {} for input {}, got {}", op, x.rank(),
                     x.str(), weight.str());
  }
  const int spatial = x.rank() - 2;
  check_options(op, options, spatial);
  ConvGeometry g;
  g.samples = x[0];
  g.in_channels = x[1];
  g.out_channels = weight[0];
  g.groups = options.groups;
  if (g.in_channels < 1 || g.out_channels < 1 || g.in_channels % g.groups != 0 ||
      g.out_channels % g.groups != 0) {
    fail<ShapeError>("[{}] expected input and output channels that {} groups divide, got {} and {}",
                     op, g.groups, g.in_channels, g.out_channels);
  }
  if (weight[1] != g.in_channels / g.groups) {
    fail<ShapeError>("[{}] expected {} input channels for weight {} in {} groups, got input {}", op,
                     weight[1] * g.groups, weight.str(), g.groups, x.str());
  }
  for (int d = 0; d < spatial; ++d) {
    const auto from = static_cast<std::size_t>(d);
    const auto to = static_cast<std::size_t>(2 - spatial + d);  // one dimension is the width
    g.in[to] = x[2 + d];
    g.kernel[to] = weight[2 + d];
    g.stride[to] = options.stride[from];
    g.padding[to] = options.padding[from];
    g.dilation[to] = options.dilation[from];
    const std::int64_t reach = g.dilation[to] * (g.kernel[to] - 1) + 1;
    const std::int64_t room = g.in[to] + 2 * g.padding[to] - reach;
    if (g.kernel[to] < 1 || g.in[to] < 1 || room < 0) {
      fail<ShapeError>(
          "[{}] the kernel {} with dilation {} does not fit input {} with padding {}; use a larger "
          "input, a smaller kernel or more padding",
          op, g.kernel[to], g.dilation[to], x.str(), g.padding[to]);
    }
    g.out[to] = room / g.stride[to] + 1;
  }
  return g;
}

Shape output_shape(const Shape& x, const ConvGeometry& g) {
  if (x.rank() == 3) return {g.samples, g.out_channels, g.out[1]};
  return {g.samples, g.out_channels, g.out[0], g.out[1]};
}

/// The geometry in x's layout; where channels or positions number one on both sides, the layouts
/// are the same memory and the faster one is taken.
ConvGeometry laid_out(ConvGeometry g, Layout layout) {
  const bool in_same = g.in_channels == 1 || g.in[0] * g.in[1] == 1;
  const bool out_same = g.out_channels == 1 || g.out[0] * g.out[1] == 1;
  g.layout = in_same && out_same ? Layout::channels_last : layout;
  return g;
}

/// Weights are channels first whatever the layout of the feature maps.
void check_weight(std::string_view op, std::string_view name, const Tensor& weight,
                  const Tensor& like) {
  detail::check_is(op, name, weight, weight.shape(), like);
  if (weight.layout() != Layout::channels_first) {
    fail<ShapeError>("[{}] expected {} in layout channels_first, got channels_last", op, name);
  }
}

}  // namespace

Shape conv_output_shape(const Shape& x, const Shape& weight, const ConvOptions& options) {
  return output_shape(x, geometry_of("conv", x, weight, options));
}

void conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const ConvOptions& options, Tensor& y) {
  const char* const op = "conv_forward";
  detail::check_float(op, "x", x);
  detail::check_defined(op, "weight", weight);
  const auto g = laid_out(geometry_of(op, x.shape(), weight.shape(), options), x.layout());
  check_weight(op, "weight", weight, x);
  if (bias.defined()) detail::check_is(op, "bias", bias, Shape{g.out_channels}, x);
  detail::check_is_laid_out(op, "y", y, output_shape(x.shape(), g), x);
  detail::check_apart(op, {"y", y}, {{"x", x}, {"weight", weight}, {"bias", bias}});
  if (g.samples == 0) return;
  if (x.dtype() == DType::f32) {
    onednn::conv_forward(g, x.data<float>(), weight.data<float>(),
                         bias.defined() ? bias.data<float>() : nullptr, y.data<float>());
  } else {
    reference::conv_forward(g, x.data<double>(), weight.data<double>(),
                            bias.defined() ? bias.data<double>() : nullptr, y.data<double>());
  }
}

void conv_backward_data(const Tensor& dy, const Tensor& weight, const ConvOptions& options,
                        Tensor& dx) {
  const char* const op = "conv_backward_data";
  detail::check_float(op, "dy", dy);
  detail::check_defined(op, "weight", weight);
  detail::check_defined(op, "dx", dx);
  const auto g = laid_out(geometry_of(op, dx.shape(), weight.shape(), options), dx.layout());
  check_weight(op, "weight", weight, dy);
  detail::check_is_laid_out(op, "dx", dx, dx.shape(), dy);
  detail::check_is_laid_out(op, "dy", dy, output_shape(dx.shape(), g), dx);
  detail::check_apart(op, {"dx", dx}, {{"dy", dy}, {"weight", weight}});
  if (g.samples == 0) return;
  if (dy.dtype() == DType::f32) {
    onednn::conv_backward_data(g, dy.data<float>(), weight.data<float>(), dx.data<float>());
  } else {
    reference::conv_backward_data(g, dy.data<double>(), weight.data<double>(), dx.data<double>());
  }
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, const ConvOptions& options,
                          Tensor& dweight, Tensor& dbias) {
  const char* const op = "conv_backward_weight";
  detail::check_float(op, "x", x);
  detail::check_defined(op, "dweight", dweight);
  const auto g = laid_out(geometry_of(op, x.shape(), dweight.shape(), options), x.layout());
  check_weight(op, "dweight", dweight, x);
  detail::check_is_laid_out(op, "dy", dy, output_shape(x.shape(), g), x);
  if (dbias.defined()) detail::check_is(op, "dbias", dbias, Shape{g.out_channels}, x);
  detail::check_apart(op, {"dweight", dweight}, {{"x", x}, {"dy", dy}, {"dbias", dbias}});
  detail::check_apart(op, {"dbias", dbias}, {{"x", x}, {"dy", dy}});
  if (g.samples == 0) return;
  detail::visit_float(x, [&](auto zero) {
    using T = decltype(zero);
    // What may fail for want of memory comes before anything is added.
    std::shared_ptr<std::byte> sums;
    if (dbias.defined()) {
      const std::int64_t positions = g.out[0] * g.out[1];
      sums = g.layout == Layout::channels_last
                 ? detail::column_sums(dy.data<T>(), g.samples * positions, g.out_channels)
                 : detail::plane_sums(dy.data<T>(), g.samples, g.out_channels, positions);
    }
    if constexpr (std::is_same_v<T, float>) {
      onednn::conv_backward_weight(g, x.data<T>(), dy.data<T>(), dweight.data<T>());
    } else {
      reference::conv_backward_weight(g, x.data<T>(), dy.data<T>(), dweight.data<T>());
    }
    if (dbias.defined()) detail::add_sums(sums, g.out_channels, dbias.data<T>());
  });
}

}  // namespace evenkeel::ops
