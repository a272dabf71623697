// Arithmetic on constants, mostly on shapes.

#include <cmath>
#include <functional>

#include "deploy/onnx/fold.h"

namespace evenkeel::deploy {

namespace {

/// f on two tensors of one type, by numpy's rules. Integers are computed as integers.
template <class Real, class Whole>
Tensor combined(const Importer& importer, const std::vector<Tensor>& inputs, Real&& real,
                Whole&& whole) {
  const Tensor &a = given(importer, inputs, 0), &b = given(importer, inputs, 1);
  if (a.dtype() != b.dtype()) importer.refuse("its inputs have different element types");
  const Shape shape = broadcast_shape(importer, a.shape(), b.shape());
  check_size(importer, shape, a.numel() + b.numel());
  const DType wide = is_real(a.dtype()) ? DType::f64 : DType::i64;
  const Tensor left = repeated(a, shape).to(wide), right = repeated(b, shape).to(wide);
  Tensor result = Tensor::empty(shape, wide);
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    if (wide == DType::f64) {
      result.data<double>()[i] = real(left.data<double>()[i], right.data<double>()[i]);
    } else {
      result.data<std::int64_t>()[i] =
          whole(left.data<std::int64_t>()[i], right.data<std::int64_t>()[i]);
    }
  }
  return result.to(a.dtype());
}

/// Wraps around instead of overflowing.
std::int64_t wrapped(std::uint64_t value) { return static_cast<std::int64_t>(value); }
std::uint64_t bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }

/// f on each element, in double.
template <class F>
Tensor mapped(const Importer& importer, const std::vector<Tensor>& inputs, F&& f) {
  const Tensor& x = given(importer, inputs, 0);
  Tensor result = x.to(DType::f64).clone();
  for (double& value : result.span<double>()) value = f(value);
  return result.to(x.dtype());
}

}  // namespace

Tensor fold_add(const Importer& importer, const std::vector<Tensor>& inputs) {
  return combined(importer, inputs, std::plus<>(),
                  [](std::int64_t a, std::int64_t b) { return wrapped(bits(a) + bits(b)); });
}

Tensor fold_sub(const Importer& importer, const std::vector<Tensor>& inputs) {
  return combined(importer, inputs, std::minus<>(),
                  [](std::int64_t a, std::int64_t b) { return wrapped(bits(a) - bits(b)); });
}

Tensor fold_mul(const Importer& importer, const std::vector<Tensor>& inputs) {
  return combined(importer, inputs, std::multiplies<>(),
                  [](std::int64_t a, std::int64_t b) { return wrapped(bits(a) * bits(b)); });
}

Tensor fold_div(const Importer& importer, const std::vector<Tensor>& inputs) {
  return combined(importer, inputs, std::divides<>(), [&](std::int64_t a, std::int64_t b) {
    if (b == 0) importer.refuse("it divides by zero");
    return b == -1 ? wrapped(0 - bits(a)) : a / b;
  });
}

Tensor fold_equal(const Importer& importer, const std::vector<Tensor>& inputs) {
  return combined(
             importer, inputs, [](double a, double b) { return a == b ? 1.0 : 0.0; },
             [](std::int64_t a, std::int64_t b) { return std::int64_t{a == b}; })
      .to(DType::u8);
}

Tensor fold_neg(const Importer& importer, const std::vector<Tensor>& inputs) {
  return mapped(importer, inputs, std::negate<>());
}
Tensor fold_floor(const Importer& importer, const std::vector<Tensor>& inputs) {
  return mapped(importer, inputs, [](double x) { return std::floor(x); });
}
Tensor fold_sqrt(const Importer& importer, const std::vector<Tensor>& inputs) {
  return mapped(importer, inputs, [](double x) { return std::sqrt(x); });
}

Tensor fold_range(const Importer& importer, const std::vector<Tensor>& inputs) {
  const auto number = [&](std::size_t i) {
    const auto list = list_of(importer, inputs, i);
    if (list.size() != 1) importer.refuse("its bounds are no single numbers");
    return list[0];
  };
  const std::int64_t start = number(0), limit = number(1), step = number(2);
  std::vector<std::int64_t> values;
  if (step == 0) importer.refuse("its step is 0");
  for (std::int64_t v = start; step > 0 ? v < limit : v > limit;) {
    values.push_back(v);
    if (std::cmp_greater(values.size(), kMost)) importer.refuse("its result is too large");
    if (__builtin_add_overflow(v, step, &v)) break;
  }
  return Tensor::from(std::span<const std::int64_t>(values),
                      {static_cast<std::int64_t>(values.size())})
      .to(inputs[0].dtype());
}

/// Over all dimensions, as shapes need it.
Tensor fold_reduce_prod(const Importer& importer, const std::vector<Tensor>& inputs) {
  const auto values = list_of(importer, inputs, 0);
  if (inputs[0].rank() != 1) importer.refuse("only products of lists are supported");
  std::uint64_t product = 1;
  for (const std::int64_t value : values) product *= bits(value);
  const bool keep = importer.attribute("keepdims", std::int64_t{1}) != 0;
  return Tensor::from({wrapped(product)}, keep ? Shape{1} : Shape{}).to(inputs[0].dtype());
}

}  // namespace evenkeel::deploy
