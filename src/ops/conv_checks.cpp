#include "ops/conv_checks.h"

#include "ops/check.h"
#include "ops/onednn/processor.h"
#include <evenkeel/core/error.h>

namespace evenkeel::ops::detail {
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

}  // namespace

ConvGeometry geometry_of(std::string_view op, const Shape& x, const Shape& weight,
                         const ConvOptions& options) {
  if (x.rank() < 3 || x.rank() > 2 + kMostSpatial) {
    fail<ShapeError>("[{}] expected an input [N, C, L], [N, C, H, W] or [N, C, D, H, W], got {}",
                     op, x.str());
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
    const auto to = static_cast<std::size_t>(kMostSpatial - spatial + d);  // the last is the width
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
  Shape result = x.with(1, g.out_channels);
  for (int d = 2; d < x.rank(); ++d) {
    result = result.with(d, g.out[static_cast<std::size_t>(kMostSpatial - x.rank() + d)]);
  }
  return result;
}

ConvGeometry laid_out(ConvGeometry g, Layout layout) {
  const bool in_same = g.in_channels == 1 || g.in_positions() == 1;
  const bool out_same = g.out_channels == 1 || g.out_positions() == 1;
  g.layout = in_same && out_same ? Layout::channels_last : layout;
  return g;
}

ConvGeometry geometry_of(std::string_view op, const Tensor& x, const Shape& weight,
                         const ConvOptions& options) {
  ConvGeometry g = laid_out(geometry_of(op, x.shape(), weight, options), x.layout());
  g.dtype = x.dtype();
  return g;
}

bool widens(const ConvGeometry& g) { return g.dtype == DType::bf16 && !onednn::has_bf16(); }

void check_weight(std::string_view op, std::string_view name, const Tensor& weight,
                  const Tensor& like) {
  check_parameter(op, name, weight, weight.shape(), like);
  if (weight.layout() != Layout::channels_first) {
    fail<ShapeError>("[{}] expected {} in layout channels_first, got channels_last", op, name);
  }
}

}  // namespace evenkeel::ops::detail
