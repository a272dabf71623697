// Any moment of a run, for what shall come out of the blue.
#pragma once

#include <cstdint>

#include "faults/process.h"
#include <evenkeel/core/random.h>

namespace evenkeel::testing {

/// How long a run takes here, and how long its record becomes.
struct Lengths {
  std::uint64_t time = 0;  ///< in microseconds
  std::uint64_t record = 0;

  /// Makes a run in `folder`.
  explicit Lengths(const TemporaryFolder& folder);
};

/// One in four times waits for some time, otherwise for a little more than any of the calls that
/// save: the first step takes longer than all others, and most moments would lie in it. Comes back
/// earlier where the process ends. The invocation keeps a record.
void wait_for_any_moment(const Process& process, const Invocation& invocation,
                         const Lengths& lengths, Random& random);

}  // namespace evenkeel::testing
