// Fully connected layers in plain loops: the oracle, and the way of f64. Every result is summed in
// one fixed order, by one thread.
#pragma once

#include <cstdint>

#include <evenkeel/core/parallel.h>

namespace evenkeel::ops::reference {

/// y [n, m] = x [n, k] · wᵀ [k, m] + bias (may be null).
template <class T>
void linear_forward(std::int64_t n, std::int64_t k, std::int64_t m, const T* x, const T* w,
                    const T* bias, T* y) {
  parallel_for(n, k * m, [&](std::int64_t row) {
    for (std::int64_t j = 0; j < m; ++j) {
      T sum = bias == nullptr ? T{0} : bias[j];
      for (std::int64_t i = 0; i < k; ++i) sum += x[row * k + i] * w[j * k + i];
      y[row * m + j] = sum;
    }
  });
}

/// dx [n, k] = dy [n, m] · w [m, k].
template <class T>
void linear_backward_data(std::int64_t n, std::int64_t k, std::int64_t m, const T* dy, const T* w,
                          T* dx) {
  parallel_for(n, k * m, [&](std::int64_t row) {
    T* out = dx + row * k;
    for (std::int64_t i = 0; i < k; ++i) out[i] = T{0};
    for (std::int64_t j = 0; j < m; ++j) {
      for (std::int64_t i = 0; i < k; ++i) out[i] += dy[row * m + j] * w[j * k + i];
    }
  });
}

/// dw [m, k] += dyᵀ [m, n] · x [n, k].
template <class T>
void linear_backward_weight(std::int64_t n, std::int64_t k, std::int64_t m, const T* x, const T* dy,
                            T* dw) {
  parallel_for(m, n * k, [&](std::int64_t j) {
    T* out = dw + j * k;
    for (std::int64_t row = 0; row < n; ++row) {
      for (std::int64_t i = 0; i < k; ++i) out[i] += dy[row * m + j] * x[row * k + i];
    }
  });
}

}  // namespace evenkeel::ops::reference
