#include "ops/onednn/conv.h"

#include "ops/check.h"
#include "ops/column_sums.h"
#include "ops/conv_checks.h"
#include "ops/reference/conv.h"
#include <evenkeel/ops/conv.h>

namespace evenkeel::ops {

Shape conv_output_shape(const Shape& x, const Shape& weight, const ConvOptions& options) {
  return detail::output_shape(x, detail::geometry_of("conv", x, weight, options));
}

void conv_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const ConvOptions& options, Tensor& y) {
  const char* const op = "conv_forward";
  detail::check_float(op, "x", x);
  detail::check_defined(op, "weight", weight);
  const auto g =
      detail::laid_out(detail::geometry_of(op, x.shape(), weight.shape(), options), x.layout());
  detail::check_weight(op, "weight", weight, x);
  if (bias.defined()) detail::check_is(op, "bias", bias, Shape{g.out_channels}, x);
  detail::check_is_laid_out(op, "y", y, detail::output_shape(x.shape(), g), x);
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
  const auto g =
      detail::laid_out(detail::geometry_of(op, dx.shape(), weight.shape(), options), dx.layout());
  detail::check_weight(op, "weight", weight, dy);
  detail::check_is_laid_out(op, "dx", dx, dx.shape(), dy);
  detail::check_is_laid_out(op, "dy", dy, detail::output_shape(dx.shape(), g), dx);
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
  const auto g =
      detail::laid_out(detail::geometry_of(op, x.shape(), dweight.shape(), options), x.layout());
  detail::check_weight(op, "dweight", dweight, x);
  detail::check_is_laid_out(op, "dy", dy, detail::output_shape(x.shape(), g), x);
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
