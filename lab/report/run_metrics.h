// What a run logged while it was trained: metrics.jsonl, read with care.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::lab {

/// One number at some steps; NaN where it was not finite.
struct Track {
  std::vector<double> x, y;
};

/// The 15th, 50th and 85th percentiles of something at some steps.
struct Spread {
  std::vector<double> x, low, middle, high;
};

/// What the probes say of one batch norm (train --probe-every).
struct NormTracks {
  std::string path;
  Spread mean_gap;   ///< over channels: |batch mean − running mean| / running σ
  Spread std_ratio;  ///< over channels: batch σ / running σ
  Spread gamma, beta;
  Spread input, output;  ///< of its values
};

using NamedTrack = std::pair<std::string, Track>;

struct RunMetrics {
  std::string name;
  std::vector<std::pair<std::string, std::string>> facts;  ///< ready to show
  std::vector<std::string> notes;                          ///< warnings, and what could not be read
  Track step_loss, step_accuracy, rate;
  Track loss, accuracy;  ///< means of epochs
  Track validation_loss, validation_accuracy;
  Track evaluation_accuracy;          ///< --eval-every
  std::vector<NamedTrack> gradients;  ///< L2 norms by parameter, in the network's order
  std::vector<NamedTrack> weights;    ///< the same
  std::vector<NormTracks> norms;      ///< in the network's order
};

/// Reads run/metrics.jsonl. Lines that are torn or no JSON objects are left out, with a note;
/// fields of another kind than they should be are missing. IoError where `run` is no run folder or
/// its file holds no metrics.
RunMetrics read_metrics(const std::filesystem::path& run);

}  // namespace evenkeel::lab
