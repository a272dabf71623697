// How long a lab still takes, as far as can be told.
#pragma once

#include <string>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab {

/// The rest of a lab at the pace of what it measured: seconds per nominal second of the
/// experiments. What was measured before takes no time and tells nothing of the pace. Moments are
/// seconds on any clock.
class TimeLeft {
 public:
  /// Those of `finished` are redrawn from what is known.
  TimeLeft(const std::vector<const Experiment*>& chosen, Budget budget,
           const std::vector<std::string>& finished);

  void begin(std::size_t number, double now);
  /// `progress`: the last that the experiment reported.
  void end(const CellProgress& progress, double now);
  double left(const CellProgress& progress, double now) const;

 private:
  std::vector<double> nominal_;  // of each experiment
  std::vector<double> later_;    // what the experiments behind each take
  std::size_t number_ = 0;
  double started_ = 0;
  double spent_ = 0, passed_ = 0;  // seconds and nominal seconds of what was measured
};

}  // namespace evenkeel::lab
