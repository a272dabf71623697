// Inference of whole networks whose batch norms are folded.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "measurement.h"
#include "worker.h"

namespace evenkeel::bench {

struct InferenceCase {
  std::string net;  ///< a named network of evenkeel
  Shape sample;
  std::int64_t batch = 1;
  int rounds = 15;
};

std::vector<InferenceCase> inference_cases(bool quick);

/// Both layouts, against the workers'. All have the same weights and the same batch, and all must
/// give the same outputs before any is timed.
Measurement measure_inference(const InferenceCase& inference, int threads,
                              std::vector<std::unique_ptr<Worker>>& workers,
                              const std::filesystem::path& folder, RunnerOptions options);

}  // namespace evenkeel::bench
