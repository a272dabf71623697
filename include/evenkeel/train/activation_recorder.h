// How what a network's modules give changes over training.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/nn/module.h>

namespace evenkeel::train {

/// While it lives, it takes percentiles of what the named modules of a network give in training, on
/// request. (Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep network training by
/// reducing internal covariate shift", figure 1, show the {15, 50, 85}th of one unit.)
///
///     ActivationRecorder recorder(net, {"0", "1"}, {15, 50, 85});
///     recorder.record(step);         // of the next forward in training mode
///     ...
///     recorder.series("1").values;   // [step][percentile]
///
/// It uses the modules' watches (nn::Module::set_watch, which says what fused layers show); one
/// that was set before goes on hearing, and is back alone when the recorder ends. Recorders and
/// other probes of one network therefore end in the reverse order of their beginnings, as variables
/// of a function do. The network outlives them.
class ActivationRecorder {
 public:
  struct Series {
    std::vector<std::int64_t> steps;
    std::vector<std::vector<double>> values;  ///< for each step, in the order of the percentiles
  };

  /// Of all values that a module gives or, with `unit`, of those of one index of dimension 1.
  /// Throws UsageError for a path that does not exist, is given twice or is the network itself
  /// (whose result its caller has), and for percentiles outside 0 to 100. A forward with a module
  /// whose result has no such unit throws ShapeError.
  ActivationRecorder(nn::Module& network, std::span<const std::string> paths,
                     std::span<const double> percentiles, std::optional<std::int64_t> unit = {});
  ActivationRecorder(nn::Module& network, const std::vector<std::string>& paths,
                     const std::vector<double>& percentiles, std::optional<std::int64_t> unit = {})
      : ActivationRecorder(network, std::span(paths), std::span(percentiles), unit) {}
  ~ActivationRecorder();
  ActivationRecorder(const ActivationRecorder&) = delete;
  ActivationRecorder& operator=(const ActivationRecorder&) = delete;

  /// The next time that each module runs in training mode is recorded under this step: once, though
  /// a batch may go through in several parts.
  void record(std::int64_t step);
  /// Throws UsageError for a path that is not recorded.
  const Series& series(std::string_view path) const;

 private:
  struct Entry;
  std::vector<std::shared_ptr<Entry>> entries_;
};

}  // namespace evenkeel::train
