// Running statistics taken anew, for whoever has a network and batches.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/nn/lengths.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

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

struct StatisticsOptions {
  StatisticsMethod method = StatisticsMethod::exact;
  StatisticsOrder order = StatisticsOrder::at_once;
  /// Of the new statistics: 1 replaces the old ones; below, mean and variance become w·new + (1 −
  /// w)·old.
  double weight = 1;
  std::int64_t samples = 0;  ///< of one pass; for progress alone
  /// Samples through the network so far, over all passes; may be empty.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
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

/// Hands every batch to `take`, with the lengths of its sequences; called once for each pass.
using BatchSource =
    std::function<void(const std::function<void(const Tensor& x, const Lengths& lengths)>& take)>;

/// Overwrites the running statistics of the network's batch norms (weight < 1: blends them), and
/// with weight 1 their num_batches_tracked by the number of batches. Layers without running
/// statistics or with held ones stay. The network is in eval mode afterwards; dropout is off
/// meanwhile.
///
/// Throws UsageError without batch norms to recalibrate, NumericError naming the layer whose input
/// is not finite, and what the network and the source throw; the statistics are then as before.
RecalibrationReport recalibrate(Module& network, const BatchSource& batches,
                                const StatisticsOptions& options = {});

/// Whether there is a batch norm whose statistics recalibrate() would take.
bool can_recalibrate(Module& network);

}  // namespace evenkeel::nn
