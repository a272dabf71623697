// A trained network, ready to be used, and what its run folder knows.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/data/dataset.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::app {

struct LoadedRun {
  model::LoadedNetwork model;               ///< fused, in eval mode
  std::optional<train::Settings> settings;  ///< where a config.toml lies beside the weights
  int fused_layers = 0;
  std::optional<std::int64_t> batch;        ///< the only batch that it takes, of an ONNX model
  std::vector<std::string> training_norms;  ///< that an ONNX model leaves in training mode

  data::Normalization normalization() const { return {model.recipe.mean, model.recipe.stddev}; }
  Layout layout() const;
  /// Of the activations, as it was trained.
  DType dtype() const;
  /// "PATH", or "PATH (a checkpoint)".
  std::string origin() const;
  /// The name of a class, or its number.
  std::string class_name(std::int64_t label) const;
};

/// From a run folder, a .safetensors file or an .onnx model; warns on standard error of damaged
/// checkpoints that were passed over. Throws IoError.
LoadedRun load(const std::filesystem::path& path);

/// --threads: 0 leaves the number as it is.
void use_threads(int threads);

}  // namespace evenkeel::app
