// Matrix products through oneDNN, cut into tiles of the result.
#pragma once

#include <cstdint>
#include <string_view>

#include <evenkeel/core/dtype.h>

namespace evenkeel::ops::onednn {

/// A row-major matrix or its transpose.
template <class T>
struct OperandOf {
  const T* data;
  std::int64_t stride;  ///< between the rows of the matrix as stored
  bool transposed;
};
using Operand = OperandOf<float>;
using Bf16Operand = OperandOf<bf16>;

/// C [m, n] = A [m, k] · B [k, n] + start, where start is C itself (`accumulate`), a row added to
/// each row (`bias`, if not null), or zero. C is contiguous. The tiles depend on the shape alone
/// and each is computed by one thread over the whole inner dimension: the same bits for any number
/// of threads. `op` names the operator in errors.
void gemm(std::string_view op, std::int64_t m, std::int64_t n, std::int64_t k, Operand a, Operand b,
          float* c, bool accumulate, const float* bias);

/// The same product of bf16 matrices, summed in f32 and stored as f32 or bf16 (C = float or bf16;
/// bf16 does not accumulate), where has_bf16() (processor.h); m, n and k are 1 or more.
template <class C>
void gemm(std::string_view op, std::int64_t m, std::int64_t n, std::int64_t k, Bf16Operand a,
          Bf16Operand b, C* c, bool accumulate, const float* bias);

}  // namespace evenkeel::ops::onednn
