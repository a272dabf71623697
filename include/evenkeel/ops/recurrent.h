// The elementwise parts of recurrent cells, and sums over rows.
#pragma once

#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

// Shapes: n rows, one per sequence that is running; H hidden units; all tensors of a call f32 or
// all f64. Where h_prev or c_prev is undefined, the state before is zero. dgates and the like have
// the shape of what they are the gradient of. Errors: ShapeError, before anything is written. n = 0
// is allowed.

/// One LSTM step (Hochreiter and Schmidhuber 1997, with forget gates). gates [n, 4H] in PyTorch's
/// order i, f, g, o: overwritten with their activations σ, σ, tanh, σ. Overwrites
/// c [n, H] = f·c_prev + i·g.
void lstm_cell_forward(Tensor& gates, const Tensor& c_prev, Tensor& c);
/// Overwrites tanh_c [n, H] = tanh(c) and h [n, H] = o·tanh_c, with o from the activated gates.
/// tanh_c may be c.
void lstm_output_forward(const Tensor& gates, const Tensor& c, Tensor& tanh_c, Tensor& h);
/// Gradients of lstm_output_forward: overwrites the o part of dgates and dc, which may be dh.
void lstm_output_backward(const Tensor& gates, const Tensor& tanh_c, const Tensor& dh,
                          Tensor& dgates, Tensor& dc);
/// Gradients of lstm_cell_forward: overwrites the i, f and g parts of dgates, which are then, with
/// o, the gradients of the gates before their activations; adds to dc_prev where it is defined.
void lstm_cell_backward(const Tensor& gates, const Tensor& c_prev, const Tensor& dc, Tensor& dgates,
                        Tensor& dc_prev);

/// One step of a gated recurrent unit (Cho et al. 2014, in PyTorch's form). gates [n, 3H] in the
/// order r, z, n holds the input's part, `hidden` [n, 3H] that of the state, both with their
/// biases. Overwrites gates with r = σ, z = σ and n = tanh(input + r·hidden), and
/// h [n, H] = (1 − z)·n + z·h_prev.
void gru_cell_forward(Tensor& gates, const Tensor& hidden, const Tensor& h_prev, Tensor& h);
/// Overwrites dgates (of the input's part) and dhidden; adds to dh_prev where it is defined what
/// does not go through `hidden`. dhidden may be `hidden`.
void gru_cell_backward(const Tensor& gates, const Tensor& hidden, const Tensor& h_prev,
                       const Tensor& dh, Tensor& dgates, Tensor& dhidden, Tensor& dh_prev);

/// Overwrites every row of y [n, C] with row [C]; an undefined row gives zeros.
void broadcast_rows(const Tensor& row, Tensor& y);
/// Adds the sum of the rows of x [n, C] to sums [C]; held in double, in a fixed order.
void accumulate_row_sums(const Tensor& x, Tensor& sums);

}  // namespace evenkeel::ops
