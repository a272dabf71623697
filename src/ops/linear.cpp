#include "ops/reference/linear.h"

#include "ops/check.h"
#include "ops/column_sums.h"
#include "ops/onednn/gemm.h"
#include "ops/onednn/processor.h"
#include <evenkeel/ops/linear.h>

namespace evenkeel::ops {
namespace {

struct LinearSizes {
  std::int64_t n, k, m;
};

LinearSizes check_operands(std::string_view op, std::string_view name, const Tensor& rows,
                           const Tensor& weight, bool rows_are_outputs) {
  detail::check_stored(op, name, rows);
  detail::check_defined(op, "weight", weight);
  if (rows.rank() != 2) {
    fail<ShapeError>("[{}] expected {} of rank 2, got {}; flatten it first", op, name,
                     rows.shape().str());
  }
  if (weight.rank() != 2) {
    fail<ShapeError>("[{}] expected weight of shape [outputs, inputs], got {}", op,
                     weight.shape().str());
  }
  detail::check_parameter(op, "weight", weight, weight.shape(), rows);
  const LinearSizes sizes{rows.dim(0), weight.dim(1), weight.dim(0)};
  const std::int64_t wanted = rows_are_outputs ? sizes.m : sizes.k;
  if (rows.dim(1) != wanted) {
    fail<ShapeError>("[{}] expected {} of shape [N, {}] for weight {}, got {}", op, name, wanted,
                     weight.shape().str(), rows.shape().str());
  }
  return sizes;
}

bool computes_in_bf16(const LinearSizes& sizes) {
  return onednn::has_bf16() && sizes.n > 0 && sizes.k > 0 && sizes.m > 0;
}

}  // namespace

void linear_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  const char* const op = "linear_forward";
  const LinearSizes sizes = check_operands(op, "x", x, weight, false);
  const auto [n, k, m] = sizes;
  if (bias.defined()) detail::check_parameter(op, "bias", bias, Shape{m}, x);
  detail::check_is(op, "y", y, Shape{n, m}, x);
  detail::check_apart(op, {"y", y}, {{"x", x}, {"weight", weight}, {"bias", bias}});
  if (x.dtype() == DType::f32) {
    onednn::gemm(op, n, m, k, {x.data<float>(), k, false}, {weight.data<float>(), k, true},
                 y.data<float>(), false, bias.defined() ? bias.data<float>() : nullptr);
  } else if (x.dtype() == DType::bf16 && computes_in_bf16(sizes)) {
    const Tensor narrow = weight.to(DType::bf16);
    onednn::gemm(op, n, m, k, {x.data<bf16>(), k, false}, {narrow.data<bf16>(), k, true},
                 y.data<bf16>(), false, bias.defined() ? bias.data<float>() : nullptr);
  } else if (x.dtype() == DType::bf16) {
    Tensor wide = Tensor::empty(y.shape());
    linear_forward(x.to(DType::f32), weight, bias, wide);
    y.copy_from(wide);
  } else {
    reference::linear_forward(n, k, m, x.data<double>(), weight.data<double>(),
                              bias.defined() ? bias.data<double>() : nullptr, y.data<double>());
  }
}

void linear_backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const char* const op = "linear_backward_data";
  const LinearSizes sizes = check_operands(op, "dy", dy, weight, true);
  const auto [n, k, m] = sizes;
  detail::check_is(op, "dx", dx, Shape{n, k}, dy);
  detail::check_apart(op, {"dx", dx}, {{"dy", dy}, {"weight", weight}});
  if (dy.dtype() == DType::f32) {
    onednn::gemm(op, n, k, m, {dy.data<float>(), m, false}, {weight.data<float>(), k, false},
                 dx.data<float>(), false, nullptr);
  } else if (dy.dtype() == DType::bf16 && computes_in_bf16(sizes)) {
    const Tensor narrow = weight.to(DType::bf16);
    onednn::gemm(op, n, k, m, {dy.data<bf16>(), m, false}, {narrow.data<bf16>(), k, false},
                 dx.data<bf16>(), false, nullptr);
  } else if (dy.dtype() == DType::bf16) {
    Tensor wide = Tensor::empty(dx.shape());
    linear_backward_data(dy.to(DType::f32), weight, wide);
    dx.copy_from(wide);
  } else {
    reference::linear_backward_data(n, k, m, dy.data<double>(), weight.data<double>(),
                                    dx.data<double>());
  }
}

void linear_backward_weight(const Tensor& x, const Tensor& dy, Tensor& dweight, Tensor& dbias) {
  const char* const op = "linear_backward_weight";
  const LinearSizes sizes = check_operands(op, "x", x, dweight, false);
  const auto [n, k, m] = sizes;
  detail::check_is(op, "dy", dy, Shape{n, m}, x);
  if (dbias.defined()) detail::check_parameter(op, "dbias", dbias, Shape{m}, x);
  detail::check_apart(op, {"dweight", dweight}, {{"x", x}, {"dy", dy}, {"dbias", dbias}});
  detail::check_apart(op, {"dbias", dbias}, {{"x", x}, {"dy", dy}});
  if (x.dtype() == DType::bf16 && !computes_in_bf16(sizes)) {
    linear_backward_weight(x.to(DType::f32), dy.to(DType::f32), dweight, dbias);
    return;
  }
  detail::visit_stored(x, [&, n = n, k = k, m = m](auto zero) {
    using T = decltype(zero);
    // What may fail for want of memory comes before anything is added.
    std::shared_ptr<std::byte> sums;
    if (dbias.defined()) sums = detail::column_sums(dy.data<T>(), n, m);
    if constexpr (!std::is_same_v<T, double>) {
      onednn::gemm(op, m, k, n, {dy.data<T>(), m, true}, {x.data<T>(), k, false},
                   dweight.data<float>(), true, nullptr);
    } else {
      reference::linear_backward_weight(n, k, m, x.data<T>(), dy.data<T>(), dweight.data<T>());
    }
    if (dbias.defined()) detail::add_sums(sums, m, dbias.data<Arithmetic<T>>());
  });
}

}  // namespace evenkeel::ops
