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
  detail::check_stored(op, "x", x);
  detail::check_defined(op, "weight", weight);
  const auto g = detail::geometry_of(op, x, weight.shape(), options);
  detail::check_weight(op, "weight", weight, x);
  if (bias.defined()) detail::check_parameter(op, "bias", bias, Shape{g.out_channels}, x);
  detail::check_is_laid_out(op, "y", y, detail::output_shape(x.shape(), g), x);
  detail::check_apart(op, {"y", y}, {{"x", x}, {"weight", weight}, {"bias", bias}});
  if (g.samples == 0) return;
  if (detail::widens(g)) {
    Tensor wide = Tensor::empty(y.shape(), DType::f32, y.layout());
    conv_forward(x.to(DType::f32), weight, bias, options, wide);
    y.copy_from(wide);
  } else if (x.dtype() != DType::f64) {
    onednn::conv_forward(g, x.raw(), weight.data<float>(),
                         bias.defined() ? bias.data<float>() : nullptr, y.raw());
  } else {
    reference::conv_forward(g, x.data<double>(), weight.data<double>(),
                            bias.defined() ? bias.data<double>() : nullptr, y.data<double>());
  }
}

void conv_backward_data(const Tensor& dy, const Tensor& weight, const ConvOptions& options,
                        Tensor& dx) {
  const char* const op = "conv_backward_data";
  detail::check_stored(op, "dy", dy);
  detail::check_defined(op, "weight", weight);
  detail::check_defined(op, "dx", dx);
  const auto g = detail::geometry_of(op, dx, weight.shape(), options);
  detail::check_weight(op, "weight", weight, dy);
  detail::check_is_laid_out(op, "dx", dx, dx.shape(), dy);
  detail::check_is_laid_out(op, "dy", dy, detail::output_shape(dx.shape(), g), dx);
  detail::check_apart(op, {"dx", dx}, {{"dy", dy}, {"weight", weight}});
  if (g.samples == 0) return;
  if (detail::widens(g)) {
    Tensor wide = Tensor::empty(dx.shape(), DType::f32, dx.layout());
    conv_backward_data(dy.to(DType::f32), weight, options, wide);
    dx.copy_from(wide);
  } else if (dy.dtype() != DType::f64) {
    onednn::conv_backward_data(g, dy.raw(), weight.data<float>(), dx.raw());
  } else {
    reference::conv_backward_data(g, dy.data<double>(), weight.data<double>(), dx.data<double>());
  }
}

void conv_backward_weight(const Tensor& x, const Tensor& dy, const ConvOptions& options,
                          Tensor& dweight, Tensor& dbias) {
  const char* const op = "conv_backward_weight";
  detail::check_stored(op, "x", x);
  detail::check_defined(op, "dweight", dweight);
  const auto g = detail::geometry_of(op, x, dweight.shape(), options);
  detail::check_weight(op, "dweight", dweight, x);
  detail::check_is_laid_out(op, "dy", dy, detail::output_shape(x.shape(), g), x);
  if (dbias.defined()) detail::check_parameter(op, "dbias", dbias, Shape{g.out_channels}, x);
  detail::check_apart(op, {"dweight", dweight}, {{"x", x}, {"dy", dy}, {"dbias", dbias}});
  detail::check_apart(op, {"dbias", dbias}, {{"x", x}, {"dy", dy}});
  if (g.samples == 0) return;
  if (detail::widens(g)) {
    conv_backward_weight(x.to(DType::f32), dy.to(DType::f32), options, dweight, dbias);
    return;
  }
  detail::visit_stored(x, [&](auto zero) {
    using T = decltype(zero);
    // What may fail for want of memory comes before anything is added.
    std::shared_ptr<std::byte> sums;
    if (dbias.defined()) {
      const std::int64_t positions = g.out_positions();
      sums = g.layout == Layout::channels_last
                 ? detail::column_sums(dy.data<T>(), g.samples * positions, g.out_channels)
                 : detail::plane_sums(dy.data<T>(), g.samples, g.out_channels, positions);
    }
    if constexpr (!std::is_same_v<T, double>) {
      onednn::conv_backward_weight(g, x.data<T>(), dy.data<T>(), dweight.data<float>());
    } else {
      reference::conv_backward_weight(g, x.data<T>(), dy.data<T>(), dweight.data<T>());
    }
    if (dbias.defined()) detail::add_sums(sums, g.out_channels, dbias.data<Arithmetic<T>>());
  });
}

}  // namespace evenkeel::ops
