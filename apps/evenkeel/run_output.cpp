#include "run_output.h"

#include <cstdio>

#include <fmt/ranges.h>

#include <evenkeel/core/error.h>
#include <evenkeel/deploy/onnx_network.h>

namespace evenkeel::app {

void check_output(std::string_view command, const std::string& run, const std::string& output) {
  if (!output.ends_with(".safetensors") && !deploy::is_onnx(output)) {
    fail<UsageError>(
        "[{}] '{}' does not say the format; give a name that ends in .safetensors or .onnx",
        command, output);
  }
  if (deploy::is_onnx(run) && !deploy::is_onnx(output)) {
    fail<UsageError>("[{}] an ONNX model stays one; give -o a name that ends in .onnx", command);
  }
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
