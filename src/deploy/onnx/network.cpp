#include <algorithm>

#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_network.h>

namespace evenkeel::deploy {

bool is_onnx(const std::filesystem::path& path) { return path.extension() == ".onnx"; }

OnnxNetwork load_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  ImportedModel imported = import_onnx(path, options);
  OnnxNetwork result;
  result.batch = imported.batch;
  result.dtype = imported.dtype;
  result.input = imported.input;
  result.output = imported.output;
  result.other_outputs = std::move(imported.other_outputs);
  result.training_norms = std::move(imported.training_norms);
  model::LoadedNetwork& loaded = result.model;
  loaded.options.net = "onnx";
  loaded.options.input = imported.sample;
  std::vector<std::int64_t> dims{imported.batch.value_or(2)};
  dims.insert(dims.end(), imported.sample.dims().begin(), imported.sample.dims().end());
  const Shape output = imported.network->output_shape(Shape(std::span<const std::int64_t>(dims)));
  loaded.options.classes = output.rank() == 2 ? output[1] : 0;
  loaded.has_recipe = model::has_recipe(imported.metadata);
  loaded.recipe = model::find_recipe(imported.metadata, loaded.options, path.string());
  loaded.metadata = std::move(imported.metadata);
  loaded.network = std::move(imported.network);
  loaded.file = path;
  return result;
}

ExportReport save_onnx(const model::LoadedNetwork& network, const std::filesystem::path& path,
                       ExportOptions options) {
  if (network.has_recipe) options.metadata.merge(model::recipe_metadata(network.recipe));
  return export_onnx(*network.network, network.options.input, path, options);
}

}  // namespace evenkeel::deploy
