// Whole training steps: forward, loss, backward, one update by SGD with momentum, on one batch that
// stays the same; loading data is not part of it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "measurement.h"
#include "worker.h"

namespace evenkeel::bench {

struct StepData;

struct StepCase {
  std::string net;  ///< a named network of evenkeel
  Shape sample;
  std::int64_t batch = 1;
  int rounds = 15;
  DType dtype = DType::f32;         ///< of the activations
  std::string activation = "auto";  ///< as model::NetworkOptions has it

  std::string name() const { return dtype == DType::bf16 ? net + ", bf16" : net; }
};

std::vector<StepCase> step_cases(bool quick);
/// These, and a network whose activation has an inverse.
std::vector<StepCase> memory_cases(bool quick);

/// What a worker is asked to make of a step: weights under PyTorch's names, input and labels lie in
/// `folder`.
Json describe(const StepCase& step, const StepData& data, int threads,
              const std::filesystem::path& folder);

/// Every layout, ours in the default and in the deterministic mode, against the workers'. All begin
/// with the same weights, and all must have the same losses (those of float32, whatever the dtype)
/// over the first steps before any is timed.
Measurement measure_step(const StepCase& step, int threads,
                         std::vector<std::unique_ptr<Worker>>& workers,
                         const std::filesystem::path& folder, RunnerOptions options);

}  // namespace evenkeel::bench
