// Runs that stand in several cells of an experiment, each made once.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "lab/cell.h"

namespace evenkeel::lab {

/// For arms that are the same network at several points, beside another control at each. Safe from
/// any thread.
class SharedRuns {
 public:
  /// What `run` gave for an equal cell, as far as stage, rate, seed and `key` tell; else `run`
  /// makes it. Two threads that come at once both make it, and get the same numbers.
  Measurement measure(const Cell& cell, const std::string& key,
                      const std::function<Measurement()>& run);

 private:
  std::mutex mutex_;
  std::map<std::string, Measurement> runs_;
};

}  // namespace evenkeel::lab
