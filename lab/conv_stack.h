// A small plain convolutional network with anything between its convolutions and their ReLUs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lab/material.h"
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::lab {

/// Appends what stands behind a convolution of so many channels; may append nothing.
using BehindConv = std::function<void(nn::Sequential& net, std::int64_t channels)>;

/// For images: a 3×3 convolution, `behind` and ReLU for each of the widths, a pool of 2×2 behind
/// the first two, a linear layer over all that is left (a mean over positions would leave nothing
/// of maps that instance norm has standardized). Weights of the convolutions are drawn from N(0,
/// 2/fan_in) (He et al. 2015), so that the network trains without a norm, too; networks that differ
/// in `behind` alone have the same ones. Better channels last.
std::unique_ptr<nn::Module> conv_stack(const Material& material,
                                       const std::vector<std::int64_t>& widths,
                                       const BehindConv& behind, std::uint64_t seed);
/// A norm by its word ("batch", "group:8", "none"), for conv_stack. Training batches of one value
/// per channel are never seen there: each map has several.
BehindConv norm_behind(const std::string& word);

}  // namespace evenkeel::lab
