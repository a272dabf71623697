// A trained network, ready to be used, and what its run folder knows.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/core/dtype.h>
#include <evenkeel/data/dataset.h>
#include <evenkeel/model/run_folder.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::app {

struct LoadedRun {
  model::LoadedNetwork model;               ///< fused, in eval mode
  std::optional<train::Settings> settings;  ///< where a config.toml lies beside the weights
  int fused_layers = 0;
  // Of an ONNX model, as import_onnx has them.
  std::optional<std::int64_t> batch;  ///< the only batch that it takes
  std::string input = "input", output = "output";
  std::vector<std::string> other_outputs;
  std::vector<std::string> training_norms;
  DType parameters = DType::f32;

  data::Normalization normalization() const { return {model.recipe.mean, model.recipe.stddev}; }
  Layout layout() const;
  /// Of the activations, as it was trained; f64 where the parameters are.
  DType dtype() const;
  /// "PATH", or "PATH (a checkpoint)".
  std::string origin() const;
  /// The name of a class, or its number.
  std::string class_name(std::int64_t label) const;
};

/// From a run folder, a .safetensors file or an .onnx model; warns on standard error of damaged
/// checkpoints that were passed over. `sample` is the shape of one of a model that does not say it.
/// Throws IoError, and UsageError for a shape given of anything else.
LoadedRun load(const std::filesystem::path& path, const std::vector<std::int64_t>& sample = {});

/// Throws Error, in the name of the command, where the model runs batch norms in training mode:
/// they are no fixed maps.
void expect_eval_mode(std::string_view command, const LoadedRun& run);

/// --threads: 0 leaves the number as it is.
void use_threads(int threads);

}  // namespace evenkeel::app
