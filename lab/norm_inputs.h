// What enters the batch norms of a network, batch by batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/material.h"
#include "lab/predictions.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::lab {

/// Of one batch norm: mean and (biased) variance of each batch's input, per channel.
struct NormInputs {
  std::string path;
  std::vector<std::vector<double>> means = {}, variances = {};  ///< [batches][channels]

  /// Per channel over all batches, which are taken as equally large.
  std::vector<double> pooled_variances() const;
};

/// The inputs of every batch norm, in the network's order, while a copy of it goes through the part
/// in whole batches; the network is left as it was. Empty without batch norms.
std::vector<NormInputs> observe_norms(const nn::Module& network, const Material& material,
                                      const data::Dataset& part, const PredictionOptions& options);

}  // namespace evenkeel::lab
