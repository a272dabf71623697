// Checkpoints: one file each, checked by a checksum, the last two kept.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "train/progress.h"
#include <evenkeel/nn/module.h>

namespace evenkeel::train {

struct Checkpoint {
  nn::StateDict network;  ///< parameters and all buffers
  nn::StateDict optimizer;
  nn::StateDict averages{};  ///< of the weights; empty where there are none
  Progress progress;
  std::map<std::string, std::string> metadata{};  ///< model::network_metadata, and what else helps
};

/// Replaces the file as a whole. Throws IoError naming the path and the cause.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
/// Throws IoError for a file that cannot be read or whose content does not match its checksum.
Checkpoint read_checkpoint(const std::filesystem::path& path);

/// The checkpoints of one run.
class CheckpointFolder {
 public:
  /// `run` tells the run from others: a checkpoint of another one that came into the folder is
  /// passed over as a damaged one is.
  CheckpointFolder(std::filesystem::path folder, std::string run)
      : folder_(std::move(folder)), run_(std::move(run)) {}

  /// Makes the folder, and clears away what a killed run left half written. Throws IoError.
  void prepare() const;
  /// Writes checkpoint "step-<step>" and then removes all others but the one written or read
  /// before. On an error, which it throws, those are as they were.
  void write(Checkpoint checkpoint);
  struct Found {
    Checkpoint checkpoint;
    std::string name;          ///< of the file
    std::int64_t damaged = 0;  ///< newer ones that are not intact
  };
  /// The newest intact checkpoint; `warn` hears of the ones passed over. Empty where none was
  /// written yet. Throws IoError where there are some and none is intact.
  std::optional<Found> read_newest(const std::function<void(const std::string&)>& warn);

 private:
  std::filesystem::path folder_;
  std::string run_;
  std::filesystem::path previous_;
};

}  // namespace evenkeel::train
