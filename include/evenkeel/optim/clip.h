// The length of the gradient, and a bound on it.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::optim {

/// The Euclidean norm of all trainable gradients together. Summed in double in an order that
/// depends on the shapes alone: the same bits for any number of threads. Not finite where a
/// gradient is not.
double gradient_norm(nn::Module& module);

/// Scales all trainable gradients by max_norm / (norm + 1e-6) where the norm is larger than
/// max_norm (PyTorch's clip_grad_norm_), and returns the norm before. A norm that is not finite
/// changes nothing and is returned for the caller to report. Throws UsageError unless max_norm > 0.
double clip_gradients(nn::Module& module, double max_norm);

}  // namespace evenkeel::optim
