// Candidates in turns: every round lets each of them work for a moment, so that all of them meet
// the same minute of a machine whose speed changes.
#pragma once

#include <span>
#include <vector>

#include "candidate.h"

namespace evenkeel::bench {

struct RunnerOptions {
  int rounds = 15;
  double turn = 0.01;       ///< seconds of work in a turn, one call at least
  double stretch = 0.0003;  ///< seconds of calls in a row whose mean is one figure
  double pause = 0.005;     ///< seconds before each, in which threads of the one before fall asleep
  /// A slow candidate (5 ms a call) that is this many times slower than the fastest of its layout
  /// after the first rounds sits out the rest; 0: never.
  double give_up = 4;
};

struct Timing {
  double min = 0, median = 0;  ///< seconds per call
  int rounds = 0;              ///< that it took part in
};

/// One timing per candidate. A turn begins with a call that is not counted. The order rotates from
/// round to round.
std::vector<Timing> run_in_turns(std::span<const Candidate> candidates,
                                 const RunnerOptions& options);

}  // namespace evenkeel::bench
