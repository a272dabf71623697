// What activations are stored as and what arithmetic on them is done in: bf16 is widened to f32,
// which is exact, and a result is rounded once more where it is stored.
#pragma once

#include <evenkeel/core/dtype.h>

namespace evenkeel::norm {

template <class T>
struct ArithmeticOf {
  using Type = T;
};
template <>
struct ArithmeticOf<bf16> {
  using Type = float;
};
template <class T>
using Arithmetic = typename ArithmeticOf<T>::Type;

template <class T>
Arithmetic<T> widened(T value) {
  return static_cast<Arithmetic<T>>(value);
}

template <class T>
double in_double(T value) {
  return static_cast<double>(widened(value));
}

/// Rounds to nearest, ties to even. From a double, bf16 is rounded by way of f32, as the kernels
/// do.
template <class T, class V>
T stored(V value) {
  return static_cast<T>(static_cast<Arithmetic<T>>(value));
}

/// Calls f with a value of the dtype's type.
template <class F>
void with_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f(double{});
    case DType::bf16:
      return f(bf16{});
    default:
      return f(float{});
  }
}

}  // namespace evenkeel::norm
