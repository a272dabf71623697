// Argument checks shared by the operators of this room. All throw in one line: ShapeError where
// tensors do not fit, UsageError where their memory overlaps.
#pragma once

#include <initializer_list>
#include <string_view>

#include <evenkeel/core/stored.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::ops::detail {

/// Throws unless the tensor is defined.
void check_defined(std::string_view op, std::string_view name, const Tensor& tensor);
/// Throws unless the tensor is defined and f32 or f64.
void check_float(std::string_view op, std::string_view name, const Tensor& tensor);
/// Throws unless the tensor is defined and f32, f64 or bf16: an operator's activations.
void check_stored(std::string_view op, std::string_view name, const Tensor& tensor);
/// Throws unless the tensor is defined, of `like`'s dtype, and `shape`.
void check_is(std::string_view op, std::string_view name, const Tensor& tensor, const Shape& shape,
              const Tensor& like);
/// The same for a parameter beside activations `like`: f32 beside bf16.
void check_parameter(std::string_view op, std::string_view name, const Tensor& tensor,
                     const Shape& shape, const Tensor& like);
/// check_is, and of `like`'s layout (which has a meaning from rank 3 on).
void check_is_laid_out(std::string_view op, std::string_view name, const Tensor& tensor,
                       const Shape& shape, const Tensor& like);
/// Shape, dtype and layout of `like`.
void check_matches(std::string_view op, std::string_view name, const Tensor& tensor,
                   const Tensor& like);

struct Named {
  std::string_view name;
  const Tensor& tensor;
};
/// Throws where the output shares memory with one of the others (undefined ones count as apart).
void check_apart(std::string_view op, Named output, std::initializer_list<Named> others);
/// The same, but the output may be exactly one of the others.
void check_in_place_or_apart(std::string_view op, Named output,
                             std::initializer_list<Named> others);

/// Calls f(float{}) or f(double{}); the dtype has been checked.
template <class F>
decltype(auto) visit_float(const Tensor& tensor, F&& f) {
  if (tensor.dtype() == DType::f64) return f(double{});
  return f(float{});
}

/// Calls f(float{}), f(double{}) or f(bf16{}); the dtype has been checked.
template <class F>
decltype(auto) visit_stored(const Tensor& tensor, F&& f) {
  return with_dtype(tensor.dtype(), std::forward<F>(f));
}

}  // namespace evenkeel::ops::detail
