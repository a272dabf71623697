#include "loaded_run.h"

#include <cstdio>

#include <fmt/format.h>

#include <evenkeel/core/parallel.h>
#include <evenkeel/deploy/onnx_network.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fusion.h>

namespace evenkeel::app {
namespace {

namespace fs = std::filesystem;

/// Of the run to which a file of weights belongs.
std::optional<train::Settings> settings_beside(const fs::path& file) {
  std::error_code ignored;
  fs::path folder = file.parent_path();
  if (folder.filename() == "checkpoints") folder = folder.parent_path();
  if (!fs::is_regular_file(folder / "config.toml", ignored)) return std::nullopt;
  return train::stored_settings(folder);
}

}  // namespace

Layout LoadedRun::layout() const {
  if (deploy::is_onnx(model.file)) {
    return model.options.input.rank() == 3 ? Layout::channels_last : Layout::channels_first;
  }
  return model::prefers_channels_last(model.options) ? Layout::channels_last
                                                     : Layout::channels_first;
}

DType LoadedRun::dtype() const { return settings ? train::dtype_of(*settings) : DType::f32; }

std::string LoadedRun::origin() const {
  return model.file.string() + (model.from_checkpoint ? " (a checkpoint)" : "");
}

std::string LoadedRun::class_name(std::int64_t label) const {
  const auto index = static_cast<std::size_t>(label);
  const auto& names = model.recipe.class_names;
  return index < names.size() ? names[index] : fmt::format("{}", label);
}

LoadedRun load(const fs::path& path) {
  LoadedRun run;
  std::error_code ignored;
  if (deploy::is_onnx(path) && !fs::is_directory(path, ignored)) {
    deploy::OnnxNetwork onnx = deploy::load_onnx(path);
    run.model = std::move(onnx.model);
    run.batch = onnx.batch;
    run.training_norms = std::move(onnx.training_norms);
  } else {
    run.model = model::load_run(
        path, [](const std::string& text) { fmt::print(stderr, "evenkeel: warning: {}\n", text); });
  }
  run.settings = settings_beside(run.model.file);
  run.fused_layers = nn::fuse(*run.model.network);
  return run;
}

void use_threads(int threads) {
  if (threads != 0) set_max_threads(threads);
}

}  // namespace evenkeel::app
