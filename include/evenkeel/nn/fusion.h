// Fusion: batch norm + activation, and batch norm + residual sum + activation, in one pass over memory.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Fuses where the order of layers allows it, in `network` and everything below; returns the number of
/// layers that were absorbed. Results keep their bits. Does nothing where the environment says
/// EVENKEEL_FUSION=0. Fuse a network when it is complete: a fused layer can no longer be replaced.
/// What was saved for backward is forgotten. A fused network trains, evaluates, copies, saves and loads
/// as before.
int fuse(Module& network);
/// Takes fuse() back, so that layers can be replaced. Does nothing to what fold() has folded.
void unfuse(Module& network);

}  // namespace evenkeel::nn
