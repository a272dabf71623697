#include "lab/shared_runs.h"

#include <fmt/format.h>

namespace evenkeel::lab {

Measurement SharedRuns::measure(const Cell& cell, const std::string& key,
                                const std::function<Measurement()>& run) {
  const std::string full =
      fmt::format("{}|{}|{}|{}", cell.stage, cell.where("rate"), cell.seed, key);
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = runs_.find(full); found != runs_.end()) return found->second;
  }
  Measurement result = run();
  const std::scoped_lock lock(mutex_);
  return runs_.emplace(full, std::move(result)).first->second;
}

}  // namespace evenkeel::lab
