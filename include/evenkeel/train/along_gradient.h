// The loss and its gradient along the direction of a training step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <evenkeel/nn/loss.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::train {

/// At w − s·g, where g = ∇L(w).
struct StepPoint {
  double step = 0;               ///< s
  double loss = 0;               ///< L(w − s·g)
  double gradient_distance = 0;  ///< ‖∇L(w − s·g) − g‖
  double cosine = 0;             ///< of the angle between the two gradients; NaN where one is 0
  double moved = 0;  ///< ‖s·g‖: gradient_distance / moved is the effective smoothness
};

/// What Santurkar, Tsipras, Ilyas and Madry (2018), "How does batch normalization help
/// optimization?", figure 4, measure of a step: the range of the loss over `steps`, how far its
/// gradient predicts (distance), and the largest change of the gradient over the distance moved.
///
/// In training mode, with this batch alone: batch norm uses its statistics at each point, dropout
/// leaves out the same elements at all of them. Over the trainable parameters; points in double,
/// rounded to the parameters' dtype. For sequences, set_lengths() before.
///
/// Everything happens on a copy of the network, which takes its memory twice: parameters,
/// gradients, buffers, mode and what is saved for backward stay as they are, watches and observers
/// hear nothing. Throws what forward, loss and backward throw.
std::vector<StepPoint> along_gradient(const nn::Module& network, const Tensor& x,
                                      std::span<const std::int32_t> labels,
                                      std::span<const double> steps,
                                      const nn::CrossEntropy& loss = {});

}  // namespace evenkeel::train
