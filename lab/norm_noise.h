// How much the statistics of a batch differ from batch to batch.
#pragma once

#include <cstdint>
#include <vector>

#include "lab/material.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// Batches that norm_noise() looks at.
inline constexpr std::int64_t kNoiseBatches = 32;

/// Of what enters one batch norm: standard deviations, from batch to batch, of a batch's mean and
/// of its deviation, in units of the deviation over all of them; means over the channels.
struct NormNoise {
  double mean = 0, deviation = 0;
};

/// Of every batch norm, in the network's order, in training mode; the network is left as it was.
/// Every sample of every batch is drawn by the seed from the whole part, with replacement: the
/// batches are independent, and as many at every size.
std::vector<NormNoise> norm_noise(const nn::Module& network, const Material& material,
                                  const data::Dataset& part, std::int64_t batch_size,
                                  std::uint64_t seed);

}  // namespace evenkeel::lab
