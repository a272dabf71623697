// What data make of a network: the statistics that each batch norm sees, and how good the network
// is with them and with its running ones.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/deploy/doctor.h>

namespace evenkeel::deploy {

/// Of the input of one batch norm, while all of them normalize with each batch's statistics. One
/// value per channel.
struct LayerSurvey {
  std::vector<double> mean, var;  ///< over all values; var is biased
  /// Standard deviation, from batch to batch, of the batch's mean and variance.
  std::vector<double> mean_noise, var_noise;
  std::vector<bool> finite;
  std::int64_t batches = 0;
};

struct Survey {
  std::map<std::string, LayerSurvey> layers;  ///< by path
  std::int64_t samples = 0, batches = 0, batch_size = 0;
  std::optional<Quality> running, batch;
  /// Samples whose output was not finite with the running statistics.
  std::int64_t spoiled = 0;
  std::string no_labels;  ///< why there is no quality, or ""
};

/// Runs a copy of the network twice (once where there is no batch norm).
Survey survey(const nn::Module& network, const data::Dataset& dataset,
              const data::Normalization& normalization, const DoctorOptions& options);

}  // namespace evenkeel::deploy
