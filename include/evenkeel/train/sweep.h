// Many small runs side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::train {

/// Values to try, one axis for each thing that varies; the last varies fastest.
class Grid {
 public:
  /// UsageError for an axis without values or a name given twice.
  Grid& axis(std::string name, std::vector<double> values);

  std::int64_t size() const;
  /// Name and value on every axis at point i. UsageError outside.
  std::vector<std::pair<std::string, double>> at(std::int64_t i) const;

 private:
  std::vector<std::pair<std::string, std::vector<double>>> axes_;
};

/// Calls run(i) for every i in [0, count), `jobs` at a time, each on a thread of its own; meanwhile
/// the processors are shared out among them (set_max_threads). In deterministic mode no result
/// depends on `jobs`. The first exception is rethrown once the calls under way have ended; no
/// further one begins then. UsageError for fewer than one job.
void sweep(std::int64_t count, int jobs, const std::function<void(std::int64_t)>& run);

}  // namespace evenkeel::train
