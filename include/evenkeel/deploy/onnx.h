// Networks from ONNX models.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/core/dtype.h>
#include <evenkeel/core/shape.h>
#include <evenkeel/nn/layers/graph.h>

namespace evenkeel::deploy {

struct ImportOptions {
  /// The input's whole shape, batch first, where the model does not say it or leaves more open than
  /// the batch.
  std::optional<Shape> input_shape = std::nullopt;
  /// The output to compute; empty: the model's first.
  std::string output = {};
};

struct ImportedModel {
  std::unique_ptr<nn::Graph> network;  ///< in eval mode, f32, or f64 where the model is
  std::string input, output;           ///< names in the model
  Shape sample;                        ///< of the input without its first dimension
  /// The only batch that the network takes; empty where it takes any.
  std::optional<std::int64_t> batch = std::nullopt;
  DType dtype = DType::f32;  ///< of the network's inputs and parameters
  std::int64_t opset = 0;
  std::string producer;
  std::vector<std::string> other_outputs;  ///< which the network does not compute
  /// Paths of the batch norms that have running statistics and that the model runs in training mode
  /// all the same (training_mode = 1, up to set 13 further outputs); the network here is in eval
  /// mode.
  std::vector<std::string> training_norms;
  std::map<std::string, std::string> metadata;  ///< the model's metadata_props
};

/// Reads a model of the default operator set 7 to 21 with one input and builds the network that it
/// describes. Weights become parameters; what depends on shapes alone is computed now. Nodes are
/// named after their weights where these are called as PyTorch does ("layer1.0.conv1.weight"), with
/// '/' for '.': "layer1/0/conv1". External data is read only from the model's own folder.
///
/// Throws IoError naming the file and the node, tensor or operator that is wrong or not supported
/// (docs/onnx.md lists what is).
ImportedModel import_onnx(const std::filesystem::path& path, const ImportOptions& options = {});

}  // namespace evenkeel::deploy
