// ONNX models from networks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/core/shape.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::deploy {

/// The operator set of exported models.
inline constexpr std::int64_t kExportOpset = 17;

struct ExportOptions {
  /// Batch norm and dropout as in training, else as in eval mode.
  bool training = false;
  /// Empty: the model takes any batch.
  std::optional<std::int64_t> batch = std::nullopt;
  std::string input = "input", output = "output";
  std::string name = "network";  ///< of the graph
  std::map<std::string, std::string> metadata = {};
  /// Looks at the complete file before it takes its place; where it says false or throws, the file
  /// goes and what was there before stays.
  std::function<bool(const std::filesystem::path&)> accept = {};
};

struct ExportReport {
  std::size_t nodes = 0;
  std::size_t bytes = 0;
  std::vector<std::string> notes;  ///< what the model cannot say, one line each
};

/// Writes the network as it is, folded by nn::fold() or not, for samples of this shape (its input
/// without the batch). What nn::fuse() did is written as the layers that it is. Initializers have
/// the names of the state dict; for nodes of a Graph '/' becomes '.' again (see import_onnx).
///
/// The file is replaced as a whole. Throws UsageError naming a layer that the format has no
/// operators for (docs/onnx.md), ShapeError where the network does not take such samples, IoError.
ExportReport export_onnx(const nn::Module& network, const Shape& sample,
                         const std::filesystem::path& path, const ExportOptions& options = {});

}  // namespace evenkeel::deploy
