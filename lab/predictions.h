// What a network says of each sample, in eval and in training mode.
#pragma once

#include <cstdint>
#include <vector>

#include "lab/material.h"
#include <evenkeel/nn/module.h>
#include <evenkeel/train/evaluate.h>

namespace evenkeel::lab {

struct PredictionOptions {
  std::int64_t batch_size = 256;
  Layout layout = Layout::channels_first;
  train::EvalMode mode = train::EvalMode::eval;
};

/// The class with the largest output for each sample, in order; the first of equal ones. In
/// training mode batches normalize by themselves (batches of one, too, where the layers take them);
/// the network is left as it was.
std::vector<std::int32_t> predictions(const nn::Module& network, const Material& material,
                                      const data::Dataset& part, const PredictionOptions& options);

/// The share of labels that two lists have in common, 0 to 1. ShapeError for different lengths.
double agreement(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b);

/// A permutation of 0 … count − 1, drawn by the seed.
std::vector<std::int64_t> shuffled_order(std::int64_t count, std::uint64_t seed);

}  // namespace evenkeel::lab
