// The statistics of each batch beside the running ones, layer by layer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::train {

/// What the last forward brought a batch norm, one number per channel.
struct NormStatistics {
  std::string path;
  std::int64_t count = 0;  ///< values per channel; 0: nothing came yet, and all else is empty
  std::vector<double> mean, var;  ///< of the batch; var divided by count, as it normalizes
  /// As they were before this batch; empty where the layer has none.
  std::vector<double> running_mean, running_var;
  std::vector<double> gamma, beta;  ///< 1 and 0 where the layer has none
  double eps = 0;
  bool unbiased = false;  ///< running_var takes in var·count/(count − 1)

  /// |mean − running_mean| / √(running_var + ε) per channel; empty without running statistics.
  std::vector<double> mean_gap() const;
  /// √((v + ε) / (running_var + ε)) per channel, v as running_var takes it in; empty without.
  std::vector<double> std_ratio() const;
};

/// The same as percentiles: of the channels, and of the values that go in and come out. NaN where
/// there is nothing to take them of.
struct NormSummary {
  std::string path;
  std::vector<double> mean_gap, std_ratio, gamma, beta;
  std::vector<double> input;   ///< of the valid steps alone, where sequences are padded
  std::vector<double> output;  ///< before a fused sum and activation
};

struct StatisticsStreamOptions {
  std::vector<double> percentiles{15, 50, 85};
  /// Whether to take percentiles of input and output: several times the work of the rest.
  bool values = true;
};

/// While it lives, it listens to every batch norm of a network, in training and eval mode. What it
/// gives is of the last forward: of a batch that goes through in parts, of the last part. Ghost
/// batches are taken together. Statistics are computed in double (norm::collect); results of the
/// network keep their bits.
///
/// Outputs are computed from inputs, γ, β and the statistics, so that fusion does not show; those
/// of ghost batches and renormalized layers are what the layer's watch sees (nn::Watch).
///
/// It uses the layers' observers, and for outputs of those their watches. As with
/// ActivationRecorder, those that were set before go on hearing, and probes of one network end in
/// the reverse order of their beginnings.
class StatisticsStream {
 public:
  /// Throws UsageError for percentiles outside 0 to 100. A network without a batch norm has empty
  /// results.
  explicit StatisticsStream(nn::Module& network, StatisticsStreamOptions options = {});
  ~StatisticsStream();
  StatisticsStream(const StatisticsStream&) = delete;
  StatisticsStream& operator=(const StatisticsStream&) = delete;

  /// Of every batch norm, in the order of the network.
  std::vector<NormStatistics> last() const;
  /// Throws UsageError for a path without a batch norm.
  const NormStatistics& last(std::string_view path) const;
  /// Of those that a forward has reached.
  std::vector<NormSummary> summaries() const;

 private:
  class Listener;
  StatisticsStreamOptions options_;
  std::vector<std::shared_ptr<Listener>> listeners_;
};

}  // namespace evenkeel::train
