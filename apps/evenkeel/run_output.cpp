#include "run_output.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <fmt/ranges.h>

#include <evenkeel/core/error.h>
#include <evenkeel/deploy/onnx_network.h>

namespace evenkeel::app {
namespace {

namespace fs = std::filesystem;

/// Without links and dots, whether it exists or not; empty where that fails.
fs::path plain(const fs::path& path) {
  std::error_code ignored;
  return fs::weakly_canonical(fs::absolute(path, ignored), ignored);
}

bool same_file(const fs::path& one, const fs::path& other) {
  std::error_code ignored;
  if (fs::equivalent(one, other, ignored)) return true;  // by two names, too
  return !plain(one).empty() && plain(one) == plain(other);
}

/// Whether the output lies where a run writes its own weights or checkpoints.
bool is_of_run(const fs::path& output) {
  std::error_code ignored;
  const fs::path file = plain(output);
  const fs::path folder = file.parent_path();
  const auto is_run = [&](const fs::path& path) {
    return fs::is_regular_file(path / "config.toml", ignored);
  };
  if (folder.filename() == "checkpoints" && is_run(folder.parent_path())) return true;
  if (!is_run(folder)) return false;
  const model::RunFolder run = model::RunFolder::open(folder);
  return std::ranges::any_of(
      std::vector{run.weights(), run.best(), run.ema(), run.swa()},
      [&](const fs::path& own) { return own.filename() == file.filename(); });
}

}  // namespace

void check_destination(std::string_view command, const std::vector<std::string>& inputs,
                       const std::string& output) {
  for (const std::string& input : inputs) {
    if (input.empty() || !same_file(input, output)) continue;
    fail<UsageError>("[{}] -o {} would overwrite what is read; give another name", command, output);
  }
  if (is_of_run(output)) {
    fail<UsageError>("[{}] -o {} would overwrite what the run keeps there; give another name",
                     command, output);
  }
}

void check_output(std::string_view command, const std::string& run, const std::string& output) {
  if (!output.ends_with(".safetensors") && !deploy::is_onnx(output)) {
    fail<UsageError>(
        "[{}] '{}' does not say the format; give a name that ends in .safetensors or .onnx",
        command, output);
  }
  if (deploy::is_onnx(run) && !deploy::is_onnx(output)) {
    fail<UsageError>("[{}] an ONNX model stays one; give -o a name that ends in .onnx", command);
  }
  check_destination(command, {run}, output);
}

deploy::ExportReport save_onnx(const LoadedRun& run, const std::string& output,
                               deploy::ExportOptions options) {
  if (!options.batch) options.batch = run.batch;
  options.input = run.input;
  options.output = run.output;
  deploy::ExportReport report = deploy::save_onnx(run.model, output, options);
  if (!run.other_outputs.empty()) {
    report.notes.push_back(
        fmt::format("of the model's outputs '{}' alone is written; left out: '{}'", run.output,
                    fmt::join(run.other_outputs, "', '")));
    fmt::print(stderr, "evenkeel: warning: {}\n", report.notes.back());
  }
  if (!options.training && !run.training_norms.empty()) {
    report.notes.push_back(fmt::format(
        "written in eval mode, with running statistics; the model ran these in training mode: '{}'",
        fmt::join(run.training_norms, "', '")));
  }
  return report;
}

std::vector<std::string> save(LoadedRun& run, const std::string& output,
                              std::map<std::string, std::string> notes) {
  if (deploy::is_onnx(output)) return save_onnx(run, output).notes;
  // What says how its statistics came about stays true.
  for (const char* key : {"recalibrated", "average"}) {
    const auto note = run.model.metadata.find(key);
    if (note != run.model.metadata.end()) notes.insert(*note);
  }
  model::save_network(output, *run.model.network, run.model.options, run.model.recipe, notes);
  return {};
}

}  // namespace evenkeel::app
