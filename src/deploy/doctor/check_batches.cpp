// What a layer normalizes over.

#include <algorithm>

#include <fmt/format.h>

#include "deploy/doctor/examination.h"

namespace evenkeel::deploy {
namespace {

/// With m values the batch's variance is off by √(2/(m − 1)), typically: 37 % for 16.
constexpr std::int64_t kFewValues = 16;
/// The values of one sample resemble each other: with so few samples the number of positions does
/// not help (Wu and He, 2018, table 2).
constexpr std::int64_t kFewSamples = 4;

}  // namespace

void check_training_mode(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    const auto& names = patient.options.training_norms;
    if (!norm.tracked || std::ranges::find(names, norm.path()) == names.end()) continue;
    findings.add(
        norm.path(),
        "training mode in the exported model (training_mode = 1, or up to set 13 further outputs)");
  }
}

void check_untracked(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    if (!norm.tracked) {
      findings.add(norm.path(), "it has no running statistics (track_running_stats = false)");
    }
  }
}

void check_tiny_batch(const Examination& patient, Findings& findings) {
  for (const NormFacts& norm : patient.norms) {
    // Renormalization is made for small batches; held statistics do not ask for any.
    if (!norm.input || norm.held || norm.layer->renorm()) continue;
    const Shape& shape = *norm.input;
    if (shape.numel() == 0) continue;
    const std::int64_t positions = shape.numel() / shape[0] / shape[1];
    const std::int64_t ghost = norm.layer->settings().ghost_size;
    const std::int64_t samples = ghost > 0 ? std::min(ghost, shape[0]) : shape[0];
    if (samples > kFewSamples && samples * positions >= kFewValues) continue;
    const std::string from = ghost > 0 ? "virtual batches" : "batches";
    findings.add(norm.path(),
                 positions == 1 ? fmt::format("{} of {}: as many values per channel", from, samples)
                                : fmt::format("{} of {} with {} positions: {} values per channel",
                                              from, samples, positions, samples * positions));
  }
}

}  // namespace evenkeel::deploy
