// Memory that runs out when a test wants it to: every operator new of this program, and every
// buffer of the caching allocator, is counted, and a chosen one fails.
#pragma once

#include <cstdint>

namespace evenkeel::testing {

/// While alive, the `nth` request for memory from now on (from 1), on any thread, fails once.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::int64_t nth);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  /// Whether it has failed.
  bool failed() const;
};

/// Blocks of operator new that are not deleted yet.
std::int64_t live_blocks();

}  // namespace evenkeel::testing
