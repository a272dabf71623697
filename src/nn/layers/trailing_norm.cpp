#include <limits>

#include "nn/layers/checks.h"
#include "nn/layers/row_pass.h"
#include <evenkeel/nn/layers/trailing_norm.h>

namespace evenkeel::nn {
namespace {

double smallest_step(DType dtype) {
  return dtype == DType::f64 ? std::numeric_limits<double>::epsilon()
                             : static_cast<double>(std::numeric_limits<float>::epsilon());
}

/// Whether the elements lie in another order than channels first.
bool reordered(const Tensor& x) {
  if (x.rank() < 3 || x.layout() == Layout::channels_first) return false;
  const ChannelDims dims = channel_dims(x.shape(), "norm");
  return dims.c > 1 && dims.s > 1;
}

}  // namespace

TrailingNorm::TrailingNorm(std::string_view type, Shape normalized_shape, const Settings& settings)
    : normalized_shape_(normalized_shape), settings_(settings) {
  if (normalized_shape_.rank() == 0) {
    fail<UsageError>("[{}] expected a normalized_shape of at least one dimension, got none", type);
  }
  if (settings_.eps) expect_eps(type, *settings_.eps);
  if (settings_.weight) {
    weight_ = register_parameter("weight", normalized_shape_, ParameterKind::norm_scale);
    parameter(weight_).value.fill(1);
  }
  if (settings_.bias) {
    bias_ = register_parameter("bias", normalized_shape_, ParameterKind::norm_shift);
  }
}

Shape TrailingNorm::output_shape(const Shape& input) const {
  const int axes = normalized_shape_.rank();
  if (input.rank() >= axes && input.drop(input.rank() - axes) == normalized_shape_) return input;
  const std::string own = normalized_shape_.str();
  fail<ShapeError>("[{}] expected an input that ends in {}, got {}; give it normalized_shape {}",
                   label(), own, input.str(),
                   input.rank() >= axes ? input.drop(input.rank() - axes).str()
                                        : "of the input's last dimensions");
}

/// γ or β of a sample of x, in the order in which the sample lies in memory.
Tensor TrailingNorm::in_order_of(const Tensor& x, const Tensor& parameter) const {
  if (!reordered(x)) return parameter;
  const Shape shape = normalized_shape_.rank() == x.rank() ? x.shape() : x.shape().with(0, 1);
  return parameter.reshape(shape).to(Layout::channels_last);
}

Tensor TrailingNorm::forward(const Tensor& input) {
  output_shape(input.shape());
  if (settings_.weight) expect_dtype(*this, input, parameter(weight_));
  const int axes = normalized_shape_.rank();
  const bool strewn = reordered(input) && axes < input.rank() - 1;
  const Tensor x = strewn ? input.to(Layout::channels_first) : input;
  std::int64_t rows = 1;
  for (int i = 0; i < x.rank() - axes; ++i) rows *= x.dim(i);
  const norm::ConstRowView view =
      norm::row_view(static_cast<const void*>(nullptr), x.dtype(), rows, normalized_shape_.numel());
  const Tensor none;
  const Tensor gamma = settings_.weight ? in_order_of(x, parameter(weight_).value) : none;
  const Tensor beta = settings_.bias ? in_order_of(x, parameter(bias_).value) : none;
  const norm::RowNorm norm{settings_.eps.value_or(smallest_step(x.dtype())), settings_.centre};
  Saved saved{{}, input.layout()};
  Relaid result(x, x.shape(), input.layout());
  const Tensor y =
      forward_rows(x, view, {norm::ConstVectorView(gamma), norm::ConstVectorView(beta)}, norm,
                   recording() ? &saved.rows : nullptr);
  if (recording()) saved_.push(std::move(saved));
  return result.of(y);
}

Tensor TrailingNorm::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor& x = saved.rows.x;
  const Tensor gradient = expect_gradient(*this, dy, x.shape(), x.dtype(), x.layout());
  const Tensor none;
  const Tensor gamma = settings_.weight ? in_order_of(x, parameter(weight_).value) : none;
  Tensor dgamma, dbeta;
  if (settings_.weight) dgamma = in_order_of(x, parameter(weight_).grad);
  if (settings_.bias) dbeta = in_order_of(x, parameter(bias_).grad);
  Relaid result(x, x.shape(), saved.layout);
  const Tensor dx =
      result.of(backward_rows(saved.rows, gradient, {norm::ConstVectorView(gamma), {}},
                              settings_.centre, norm::VectorView(dgamma), norm::VectorView(dbeta)));
  if (reordered(x)) {  // the sums were continued in copies
    if (settings_.weight) parameter(weight_).grad.reshape(dgamma.shape()).copy_from(dgamma);
    if (settings_.bias) parameter(bias_).grad.reshape(dbeta.shape()).copy_from(dbeta);
  }
  saved_.pop();
  return dx;
}

void TrailingNorm::reset_parameters(Random& /*random*/) {
  if (settings_.weight) parameter(weight_).value.fill(1);
  if (settings_.bias) parameter(bias_).value.fill(0);
}

}  // namespace evenkeel::nn
