// What a training step takes of memory, and what a warm one asks of the system.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "grid.h"
#include "steps.h"
#include "tables.h"
#include "worker.h"

namespace evenkeel::bench {

/// One way to run the step.
struct MemoryEntry {
  std::string who, version, how;
  /// Bytes that stay from step to step (parameters, gradients, buffers, the optimizer's state, the
  /// batch), and the most that one step has in use at a time, those included.
  double standing = 0, peak = 0;
  /// Minor page faults in the best of some windows of steps.
  long faults = 0;
  /// How often our allocator asked the system for memory in all windows, and by how many bytes the
  /// C library's grew; negative for peers.
  long requests = -1, grown = -1;
  double seconds = 0;  ///< of a step, the least in turns with our other ways; 0 for peers
};

struct MemoryMeasurement {
  std::string net;
  std::int64_t batch = 1;
  int threads = 1;
  std::vector<MemoryEntry> entries;

  /// The least peak of the peers; 0 where there is none.
  double best_peer() const;
  /// The same step with memory = normal; null where there is none.
  const MemoryEntry* normal_of(const MemoryEntry& entry) const;
};

/// Ours with memory = keep, normal and save in every layout, and the workers'. Our peak is our
/// allocator's, in which everything lies that grows with the batch; PyTorch's is the sum of its
/// allocator's events over one step (bench/peers/networks.py).
MemoryMeasurement measure_memory(const StepCase& step, int threads,
                                 std::vector<std::unique_ptr<Worker>>& workers,
                                 const std::filesystem::path& folder, RunnerOptions options);

Grid memory_grid(const std::vector<MemoryMeasurement>& measurements);
Json to_json(const MemoryMeasurement& measurement);

}  // namespace evenkeel::bench
