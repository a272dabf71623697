// Running statistics taken anew: for other data, after weight averaging, after a run that spoiled
// them.
#pragma once

#include <cstdint>
#include <functional>

#include <evenkeel/data/dataset.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/nn/recalibration.h>

namespace evenkeel::deploy {

using nn::RecalibrationReport;
using nn::StatisticsMethod;
using nn::StatisticsOrder;

struct RecalibrationOptions {
  StatisticsMethod method = StatisticsMethod::exact;
  StatisticsOrder order = StatisticsOrder::at_once;
  std::int64_t samples = 0;  ///< of the data set, drawn by the seed; 0: all
  std::int64_t batch_size = 256;
  /// Of the new statistics: 1 replaces the old ones; below, mean and variance become w·new + (1 −
  /// w)·old, which adapts a network to data like those of training but not the same (Schneider et
  /// al., 2020, with w = n/(N + n)).
  double weight = 1;
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;  ///< of the activations
  std::uint64_t seed = 0;    ///< of the order of the samples
  /// Samples through the network so far, over all passes; may be empty.
  std::function<void(std::int64_t done, std::int64_t total)> progress;
};

/// Overwrites the running statistics of the network's batch norms (weight < 1: blends them), and
/// with weight 1 their num_batches_tracked by the number of batches. Layers without running
/// statistics or with held ones stay. The network is in eval mode afterwards; dropout is off
/// meanwhile. A single sample left over from the last batch is dropped.
///
/// Throws UsageError without batch norms to recalibrate or for options out of range, NumericError
/// naming the layer whose input is not finite, and what the network throws; the statistics are then
/// as before.
RecalibrationReport recalibrate(nn::Module& network, const data::Dataset& dataset,
                                const data::Normalization& normalization,
                                const RecalibrationOptions& options = {});

}  // namespace evenkeel::deploy
