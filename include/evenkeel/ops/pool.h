// Pooling over one to three spatial dimensions.
#pragma once

#include <cstdint>

#include <evenkeel/core/tensor.h>
#include <evenkeel/ops/spatial.h>

namespace evenkeel::ops {

enum class PoolKind : std::uint8_t { max, average };

struct PoolOptions {
  Spatial kernel{2, 2, 2};
  Spatial stride{2, 2, 2};
  Spatial padding{0, 0, 0};
  /// Average pooling: whether padding counts in the divisor (PyTorch's default).
  bool count_include_pad = true;
};

// x [N, C, L], [N, C, H, W] or [N, C, D, H, W], f32, f64 or bf16, either layout; y in x's layout.
// All run through the same vectorized loops (bf16 is summed as f32 and rounded once): pooling is
// bound by memory, and oneDNN's maximum would lose NaN. Results have the same bits for any number
// of threads. Errors, before anything is written: ShapeError, and UsageError for an output that
// overlaps an input. N = 0 is allowed.

/// O = (I + 2·padding − K) / stride + 1, rounded down. Throws ShapeError where the kernel does not
/// fit or the padding exceeds half the kernel (a window of padding alone has no maximum).
Shape pool_output_shape(const Shape& x, const PoolOptions& options);
/// Overwrites y. For max pooling returns what pool_backward needs (i32 of y's shape: the position
/// in its map that each maximum came from, the first of equals), for average pooling an undefined
/// tensor. A window with NaN has the maximum NaN. `remember` false returns an undefined
/// tensor and may be faster.
Tensor pool_forward(PoolKind kind, const Tensor& x, const PoolOptions& options, Tensor& y,
                    bool remember = true);
/// Overwrites dx. `memory` is what pool_forward returned.
void pool_backward(PoolKind kind, const Tensor& dy, const Tensor& memory,
                   const PoolOptions& options, Tensor& dx);

/// Mean over all positions: x [N, C, spatial...] → y [N, C]. Overwrites y.
void global_average_pool_forward(const Tensor& x, Tensor& y);
/// Overwrites dx.
void global_average_pool_backward(const Tensor& dy, Tensor& dx);

}  // namespace evenkeel::ops
