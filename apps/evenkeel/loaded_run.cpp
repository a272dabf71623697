#include "loaded_run.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/shell_word.h>
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

/// The whole shape of an input: what stands for the batch is not read.
std::optional<Shape> shape_of(const std::vector<std::int64_t>& sample) {
  if (sample.empty()) return std::nullopt;
  if (sample.size() >= Shape::kMaxRank || std::ranges::min(sample) < 1) {
    fail<UsageError>("--input expects up to {} numbers of 1 or more, such as 3,32,32",
                     Shape::kMaxRank - 1);
  }
  std::vector<std::int64_t> dims{1};
  dims.insert(dims.end(), sample.begin(), sample.end());
  return Shape(std::span<const std::int64_t>(dims));
}

}  // namespace

Layout LoadedRun::layout() const {
  if (deploy::is_onnx(model.file)) {
    return model.options.input.rank() == 3 ? Layout::channels_last : Layout::channels_first;
  }
  return model::prefers_channels_last(model.options) ? Layout::channels_last
                                                     : Layout::channels_first;
}

DType LoadedRun::dtype() const {
  if (parameters == DType::f64) return DType::f64;
  return settings ? train::dtype_of(*settings) : DType::f32;
}

std::string LoadedRun::origin() const {
  return model.file.string() + (model.from_checkpoint ? " (a checkpoint)" : "");
}

std::string LoadedRun::class_name(std::int64_t label) const {
  const auto index = static_cast<std::size_t>(label);
  const auto& names = model.recipe.class_names;
  return index < names.size() ? names[index] : fmt::format("{}", label);
}

LoadedRun load(const fs::path& path, const std::vector<std::int64_t>& sample) {
  LoadedRun run;
  std::error_code ignored;
  if (deploy::is_onnx(path) && !fs::is_directory(path, ignored)) {
    deploy::OnnxNetwork onnx = deploy::load_onnx(path, {.input_shape = shape_of(sample)});
    run.model = std::move(onnx.model);
    run.batch = onnx.batch;
    run.input = std::move(onnx.input);
    run.output = std::move(onnx.output);
    run.other_outputs = std::move(onnx.other_outputs);
    run.parameters = onnx.dtype;
    run.training_norms = std::move(onnx.training_norms);
  } else if (!sample.empty()) {
    fail<UsageError>("--input is for .onnx models that leave it open; '{}' says it itself",
                     path.string());
  } else {
    run.model = model::load_run(
        path, [](const std::string& text) { fmt::print(stderr, "evenkeel: warning: {}\n", text); });
  }
  run.settings = settings_beside(run.model.file);
  run.fused_layers = nn::fuse(*run.model.network);
  return run;
}

void expect_eval_mode(std::string_view command, const LoadedRun& run) {
  if (run.training_norms.empty()) return;
  const std::size_t count = run.training_norms.size();
  fail<Error>(
      "[{}] '{}' runs {} batch norm{} in training mode ('{}'{}): each batch's statistics are no "
      "fixed map to fold; write it in eval mode first: evenkeel export {} -o FILE.onnx",
      command, run.model.file.string(), count, count == 1 ? "" : "s", run.training_norms.front(),
      count == 1 ? "" : ", …", shell_word(run.model.file.string()));
}

void use_threads(int threads) {
  if (threads != 0) set_max_threads(threads);
}

}  // namespace evenkeel::app
