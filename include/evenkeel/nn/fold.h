// Folding: batch norm with fixed statistics is an affine map, which a layer before or behind it can
// do.
#pragma once

#include <string>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

struct FoldReport {
  struct Folded {
    std::string layer;    ///< path of the batch norm (or Scale, or Shift) that is gone
    std::string into;     ///< path of the layer that does it now
    bool behind = false;  ///< that layer comes behind it
    bool operator==(const Folded&) const = default;
  };
  struct Kept {
    std::string norm;    ///< path of a batch norm that stays
    std::string reason;  ///< why
    /// Its statistics or weights are no numbers to compute with; in other layers they would be
    /// beyond mending.
    bool faulty = false;
  };
  std::vector<Folded> folded;
  std::vector<Kept> kept;
  // Of fold() alone.
  int activations = 0;  ///< done by convolutions now
  int sums = 0;         ///< of residual connections, done by convolutions now
};

/// Folds batch norms into the layers with weights around them, in place and in double; the result
/// is a network of ordinary layers. In eval mode a batch norm is y = s·x + t per channel, with s =
/// γ/√(σ² + ε) and t = β − μ·s. It goes into the weight W and bias b
///
///     of a layer before it:  W' = W·s,  b' = b·s + t      (per output channel),
///     of a layer behind it:  W' = W·s,  b' = b + Σ W·t    (per input channel),
///
/// where that layer is a convolution or a transposed one of any groups, or a Linear, and nothing
/// lies between but what hands values through (Identity, Dropout, batch norms folded before; toward
/// a layer behind also Flatten and means over positions). Scale and Shift layers with one value per
/// channel go the same way. Layers before are preferred. Layers that get a bias are made anew;
/// standardized weights become those that act. An Identity stays where a layer was (ValidSteps
/// where sequences may be padded), so that all names stay.
///
/// What cannot go without changing the function stays, with its reason: an activation or a join
/// between, values that other layers read too, zero padding before a convolution behind, statistics
/// of the batch (track_running_stats off), a mask, statistics or weights that are not finite. The
/// network is in eval mode afterwards. What fuse() did is taken back first.
FoldReport fold_norms(Module& network);

/// Makes a network ready for inference, in place: fold_norms(), and then convolutions take the ReLU
/// or leaky ReLU and the sum of a residual connection after them into their own pass, and their
/// weights into the format of the processor (FoldedConv). Results equal those of eval mode up to
/// rounding, but a ReLU that a convolution does gives 0 for NaN, as oneDNN's. The network can no
/// longer be trained; fold a clone() to keep one that can.
FoldReport fold(Module& network);

}  // namespace evenkeel::nn
