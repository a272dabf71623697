// What a network gives for samples, and how far that moves when the samples change.
#pragma once

#include "lab/material.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// Outputs in eval mode for the whole part as one batch, [N, classes]; the network stays in eval
/// mode.
Tensor outputs_of(nn::Module& network, const Material& material, const data::Dataset& part,
                  Layout layout);
/// √mean (after − before)² in units of the deviation of `before` over the samples, all outputs
/// together; both [N, outputs] in f32.
double change_of(const Tensor& before, const Tensor& after);

}  // namespace evenkeel::lab
