// ONNX models as the networks of the command: with what a run knows of its inputs and classes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/model/run_folder.h>

namespace evenkeel::deploy {

/// Whether the name ends in .onnx.
bool is_onnx(const std::filesystem::path& path);

struct OnnxNetwork {
  model::LoadedNetwork model;  ///< the options' net is "onnx", their classes 0 for other outputs
  // As ImportedModel has them.
  std::optional<std::int64_t> batch = std::nullopt;
  DType dtype = DType::f32;
  std::string input, output;
  std::vector<std::string> other_outputs;
  std::vector<std::string> training_norms;
};

/// import_onnx, with the recipe that save_onnx wrote where it did. Throws IoError.
OnnxNetwork load_onnx(const std::filesystem::path& path, const ImportOptions& options = {});

/// export_onnx, with the recipe, where the network has one, in the model's metadata.
ExportReport save_onnx(const model::LoadedNetwork& network, const std::filesystem::path& path,
                       ExportOptions options = {});

}  // namespace evenkeel::deploy
