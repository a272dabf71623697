// Folding: batch norm with fixed statistics is an affine map, which the layer before it can do.
#pragma once

#include <string>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

struct FoldReport {
  struct Kept {
    std::string norm;    ///< path of a batch norm that stays
    std::string reason;  ///< why
  };
  std::vector<std::string> folded;  ///< paths of the batch norms that are gone
  std::vector<Kept> kept;
  int activations = 0;  ///< done by convolutions now
  int sums = 0;         ///< of residual connections, done by convolutions now
};

/// Makes a network ready for inference, in place: every batch norm behind a convolution or a linear
/// layer in a Sequential goes into its weight and bias, in double,
///
///     W' = W·γ/√(σ² + ε),   b' = (b − μ)·γ/√(σ² + ε) + β    (per output channel),
///
/// convolutions take the ReLU or leaky ReLU and the sum of a residual connection after them into
/// their own pass, and their weights into the format of the processor. An Identity stays where a
/// batch norm was, so that all names stay. What cannot go without changing the function stays, with
/// its reason. Results equal those of eval mode up to rounding, but a ReLU that a convolution does
/// gives 0 for NaN, as oneDNN's. The network is in eval mode
/// afterwards and can no longer be trained; fold a clone() to keep one that can. What fuse() did is
/// taken back first.
FoldReport fold(Module& network);

}  // namespace evenkeel::nn
