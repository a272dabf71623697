// What a network gives for samples, samples that were changed, and how far that moves the outputs.
#pragma once

#include <cstdint>

#include "lab/material.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// Outputs in eval mode for the whole part as one batch, [N, classes]; the network stays in eval
/// mode.
Tensor outputs_of(nn::Module& network, const Material& material, const data::Dataset& part,
                  Layout layout);
/// Each image with a contrast and a brightness of its own, drawn by the seed: value ← (value − ½)·c
/// + ½ + b, on the scale where u8 is 0 to 1, with c from `least` (0 to 1) to 1 and |b| ≤ (1 − c)/2,
/// so that all that lies between 0 and 1 stays there and nothing is clipped. Draws for another
/// `least` differ in how far they go alone; 1 changes nothing.
data::Dataset shifted_each(const data::Dataset& images, double least, std::uint64_t seed);
/// √mean (after − before)² in units of the deviation of `before` over the samples, all outputs
/// together; both [N, outputs] in f32.
double change_of(const Tensor& before, const Tensor& after);

}  // namespace evenkeel::lab
