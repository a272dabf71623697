// Running statistics taken anew: for other data, after weight averaging, after a run that spoiled
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/data/dataset.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::deploy {

enum class StatisticsMethod : std::uint8_t {
  /// Mean and variance over all values of all samples, however they are batched:
  /// E[σ_B² + μ_B²] − E[μ_B]² in the stable form of Chan, Golub and LeVeque (1979).
  exact,
  /// As torch.optim.swa_utils.update_bn: the mean of the batches' means, and of their variances
  /// (unbiased where the layer is), which leave out how the batches' means differ.
  averages
};

enum class StatisticsOrder : std::uint8_t {
  /// One pass; every layer meanwhile normalizes with the statistics of each batch, as in training.
  at_once,
  /// One pass per layer, in the network's order, in eval mode: each sees what the layers before it
  /// give with their new statistics, which is what it sees ever after.
  layer_by_layer
};

std::string_view name_of(StatisticsMethod method);
std::string_view name_of(StatisticsOrder order);

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

struct RecalibrationReport {
  struct Layer {
    std::string path;
    double shift = 0;                  ///< largest |μ_new − μ_old|/σ_new
    double narrowest = 1, widest = 1;  ///< smallest and largest σ_new/σ_old
  };
  struct Kept {
    std::string path;
    std::string reason;
  };
  std::vector<Layer> layers;
  std::vector<Kept> kept;    ///< batch norms whose statistics stay
  std::int64_t samples = 0;  ///< used in each pass
  std::int64_t batches = 0;
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
