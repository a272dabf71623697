#include "ops/check.h"

#include <functional>

namespace evenkeel::ops::detail {
namespace {

bool overlap(const Tensor& a, const Tensor& b) {
  const auto* const a_begin = static_cast<const std::byte*>(a.raw());
  const auto* const b_begin = static_cast<const std::byte*>(b.raw());
  const std::less<> before;
  return before(a_begin, b_begin + b.bytes()) && before(b_begin, a_begin + a.bytes());
}

}  // namespace

void check_defined(std::string_view op, std::string_view name, const Tensor& tensor) {
  if (!tensor.defined()) {
    fail<ShapeError>("[{}] expected {} to be a tensor, got an undefined one", op, name);
  }
}

void check_float(std::string_view op, std::string_view name, const Tensor& tensor) {
  check_defined(op, name, tensor);
  if (tensor.dtype() != DType::f32 && tensor.dtype() != DType::f64) {
    fail<ShapeError>("[{}] expected {} of type f32 or f64, got {}; convert it with to(DType::f32)",
                     op, name, name_of(tensor.dtype()));
  }
}

namespace {

void check_is(std::string_view op, std::string_view name, const Tensor& tensor, const Shape& shape,
              DType dtype) {
  check_defined(op, name, tensor);
  if (tensor.dtype() != dtype) {
    fail<ShapeError>("[{}] expected {} of type {}, got {}; convert it with to()", op, name,
                     name_of(dtype), name_of(tensor.dtype()));
  }
  if (!(tensor.shape() == shape)) {
    fail<ShapeError>("[{}] expected {} of shape {}, got {}", op, name, shape.str(),
                     tensor.shape().str());
  }
}

}  // namespace

void check_stored(std::string_view op, std::string_view name, const Tensor& tensor) {
  check_defined(op, name, tensor);
  if (tensor.dtype() == DType::bf16) return;
  if (tensor.dtype() != DType::f32 && tensor.dtype() != DType::f64) {
    fail<ShapeError>(
        "[{}] expected {} of type f32, f64 or bf16, got {}; convert it with to(DType::f32)", op,
        name, name_of(tensor.dtype()));
  }
}

void check_is(std::string_view op, std::string_view name, const Tensor& tensor, const Shape& shape,
              const Tensor& like) {
  check_is(op, name, tensor, shape, like.dtype());
}

void check_parameter(std::string_view op, std::string_view name, const Tensor& tensor,
                     const Shape& shape, const Tensor& like) {
  check_is(op, name, tensor, shape, parameter_dtype(like.dtype()));
}

void check_is_laid_out(std::string_view op, std::string_view name, const Tensor& tensor,
                       const Shape& shape, const Tensor& like) {
  check_is(op, name, tensor, shape, like);
  if (shape.rank() >= 3 && tensor.layout() != like.layout()) {
    fail<ShapeError>("[{}] expected {} in layout {}, got {}; convert it with to(Layout)", op, name,
                     name_of(like.layout()), name_of(tensor.layout()));
  }
}

void check_matches(std::string_view op, std::string_view name, const Tensor& tensor,
                   const Tensor& like) {
  check_is_laid_out(op, name, tensor, like.shape(), like);
}

void check_apart(std::string_view op, Named output, std::initializer_list<Named> others) {
  for (const Named& other : others) {
    if (!overlap(output.tensor, other.tensor)) continue;
    fail<UsageError>("[{}] expected {} apart from {}, got memory that overlaps; give it its own",
                     op, output.name, other.name);
  }
}

void check_in_place_or_apart(std::string_view op, Named output,
                             std::initializer_list<Named> others) {
  for (const Named& other : others) {
    if (output.tensor.raw() == other.tensor.raw() || !overlap(output.tensor, other.tensor))
      continue;
    fail<UsageError>(
        "[{}] expected {} to be {} or to lie apart from it, got memory that overlaps in part", op,
        output.name, other.name);
  }
}

}  // namespace evenkeel::ops::detail
