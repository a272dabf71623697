// What activations are stored as and what arithmetic on them is done in: bf16 is widened to f32,
// which is exact, and a result is rounded once more where it is stored.
#pragma once

#include <utility>

#include <evenkeel/core/dtype.h>

namespace evenkeel {

template <class T>
struct ArithmeticOf {
  using Type = T;
};
template <>
struct ArithmeticOf<bf16> {
  using Type = float;
};
/// The type of arithmetic on elements stored as T.
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

/// Calls f with a value of the type of f32, f64 or bf16 activations.
template <class F>
decltype(auto) with_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return std::forward<F>(f)(double{});
    case DType::bf16:
      return std::forward<F>(f)(bf16{});
    default:
      return std::forward<F>(f)(float{});
  }
}

/// The dtype of the parameters and statistics beside activations of this dtype.
constexpr DType parameter_dtype(DType activations) {
  return activations == DType::bf16 ? DType::f32 : activations;
}

}  // namespace evenkeel
