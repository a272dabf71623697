// Matrix products through oneDNN's sgemm, cut into tiles of the result.
#pragma once

#include <cstdint>
#include <string_view>

namespace evenkeel::ops::onednn {

/// A row-major matrix or its transpose.
struct Operand {
  const float* data;
  std::int64_t stride;  ///< between the rows of the matrix as stored
  bool transposed;
};

/// C [m, n] = A [m, k] · B [k, n] + start, where start is C itself (`accumulate`), a row added to
/// each row (`bias`, if not null), or zero. C is contiguous. The tiles depend on the shape alone
/// and each is computed by one thread over the whole inner dimension: the same bits for any number
/// of threads. `op` names the operator in errors.
void gemm(std::string_view op, std::int64_t m, std::int64_t n, std::int64_t k, Operand a, Operand b,
          float* c, bool accumulate, const float* bias);

}  // namespace evenkeel::ops::onednn
