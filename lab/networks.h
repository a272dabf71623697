// Plain networks with batch norm here, there or nowhere, and equal initial weights for all of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lab/material.h"
#include <evenkeel/model/network.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

struct PlainNet {
  bool convolutional = false;                 ///< see SmallNet; better channels last then
  std::vector<std::int64_t> widths;           ///< of the hidden layers
  bool sigmoid = false;                       ///< in place of ReLU
  std::optional<model::Placement> norm = {};  ///< where batch norm stands; empty: nowhere
};
/// A small network (small_nets.h) whose biases are as in the named ones: none where batch norm
/// follows the map directly. Parameters are drawn as PyTorch does.
std::unique_ptr<nn::Module> build(const Material& material, const PlainNet& net,
                                  std::uint64_t seed);

/// Puts a sigmoid in place of every ReLU of a named network; before anything is fused.
void use_sigmoid(nn::Module& network);

/// Draws the weights of all linear maps and convolutions anew, from N(0, gain²/fan_in) (He et al.
/// 2015), and sets their biases to 0. The i-th weight has a stream of its own: networks that
/// differ in their normalizations alone get equal weights from equal seeds.
void draw_weights(nn::Module& network, nn::init::Nonlinearity nonlinearity, std::uint64_t seed);

}  // namespace evenkeel::lab
