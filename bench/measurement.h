// One row of the table: a piece of work on one problem, by everyone who can do it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "candidate.h"
#include "problem.h"
#include "runner.h"
#include "shapes.h"

namespace evenkeel::bench {

struct Entry {
  Candidate candidate;
  Timing timing;
  double error = 0;  ///< the largest that verification found; at most the tolerance
};

struct Measurement {
  std::string shape;  ///< "64@112x112"
  std::vector<SampleShape::Use> uses;
  ProblemSize size;
  Work work;
  std::size_t bytes = 0;  ///< of one tensor
  std::vector<Entry> entries;
  Entry copy;                        ///< the fastest copy of one tensor in the same rounds
  std::vector<std::string> refused;  ///< peers whose results were wrong, which were not timed

  /// Ours, or the fastest of the others, null where there is none. Blocked channels are channels
  /// first.
  const Entry* own(Layout layout) const;
  const Entry* best_peer(Layout layout) const;
  /// The best peer's time over ours: above 1 is faster. 0 where there is no peer.
  double ratio(Layout layout) const;
  /// The least traffic over our time, as a part of what the copy moves in a second.
  double part_of_copy(Layout layout) const;
};

/// Makes the candidates of one library for a piece of work. The problem outlives them.
using Provider = std::function<std::vector<Candidate>(const Problem&, const Work&)>;

/// Verifies all, then times all in turns. Throws Error where our own result is wrong.
Measurement measure(const std::string& shape, const Problem& problem, const Work& work,
                    const std::vector<Provider>& providers, const RunnerOptions& options);

}  // namespace evenkeel::bench
