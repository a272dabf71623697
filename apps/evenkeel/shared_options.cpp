#include "shared_options.h"

namespace evenkeel::app {

void add_run(CLI::App& app, std::string& run) {
  app.add_option("RUN", run, "a run folder, a .safetensors file of one, or an .onnx model")
      ->required()
      ->option_text(" ");
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "threads to use (one per processor)")->option_text("N");
}

void add_json(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print one JSON object");
}

}  // namespace evenkeel::app
