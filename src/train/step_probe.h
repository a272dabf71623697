// What is noted of a single training step (Settings::probe_every).
#pragma once

#include <cstdint>
#include <vector>

#include <evenkeel/train/gradient_norms.h>
#include <evenkeel/train/statistics_stream.h>

namespace evenkeel::train {

struct ProbeRecord {
  std::int64_t step = 0;
  std::vector<double> percentiles;       ///< that `norms` has
  std::vector<GradientNorm> parameters;  ///< gradients as the step left them, weights after it
  std::vector<NormSummary> norms;        ///< of the forward
};

/// Stands around one step and looks on: no bits change.
class StepProbe {
 public:
  explicit StepProbe(nn::Module& network) : network_(network), stream_(network, options()) {}

  /// Once the step is taken.
  ProbeRecord record(std::int64_t step) const {
    return {step, options().percentiles, gradient_norms(network_), stream_.summaries()};
  }

 private:
  static StatisticsStreamOptions options() { return {}; }

  nn::Module& network_;
  StatisticsStream stream_;
};

}  // namespace evenkeel::train
