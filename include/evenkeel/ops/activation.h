// Elementwise activations.
#pragma once

#include <cstdint>

#include <evenkeel/core/tensor.h>

namespace evenkeel::ops {

enum class ActivationKind : std::uint8_t { relu, leaky_relu, sigmoid, tanh };

// Tensors of any shape, f32, f64 or bf16, all of one dtype and layout. y may be x and dx may be y
// or dy; memory that overlaps otherwise is refused with a UsageError. NaN stays NaN. f32 results
// are within 4 units in the last place. Errors: ShapeError where shapes, types or layouts differ,
// UsageError for a slope of leaky_relu that is not positive; before anything is written.

/// Overwrites y. `slope` is leaky_relu's factor for negative x.
void activation_forward(ActivationKind kind, const Tensor& x, Tensor& y, double slope = 0.01);
/// Overwrites dx from dy and the *output* y: relu and leaky_relu (slope > 0) take the sign from y,
/// sigmoid and tanh their derivative. The derivative of relu at 0 is 0; of leaky_relu, slope.
void activation_backward(ActivationKind kind, const Tensor& y, const Tensor& dy, Tensor& dx,
                         double slope = 0.01);

}  // namespace evenkeel::ops
