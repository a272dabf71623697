#include "run_output.h"

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

void save(LoadedRun& run, const std::string& output, std::map<std::string, std::string> notes) {
  if (deploy::is_onnx(output)) {
    deploy::ExportOptions options;
    options.batch = run.batch;
    deploy::save_onnx(run.model, output, options);
    return;
  }
  // What says how its statistics came about stays true.
  for (const char* key : {"recalibrated", "average"}) {
    const auto note = run.model.metadata.find(key);
    if (note != run.model.metadata.end()) notes.insert(*note);
  }
  model::save_network(output, *run.model.network, run.model.options, run.model.recipe, notes);
}

}  // namespace evenkeel::app
