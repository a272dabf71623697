#include "shared_options.h"

namespace evenkeel::app {

void add_run(CLI::App& app, std::string& run) {
  app.add_option("RUN", run, "a run folder, a .safetensors file of one, or an .onnx model")
      ->required()
      ->option_text(" ");
}

CLI::Option* add_input(CLI::App& app, std::vector<std::int64_t>& input, std::string_view when) {
  return app
      .add_option("--input", input, "the shape of one sample, such as 3,32,32" + std::string(when))
      ->delimiter(',')
      ->option_text("C,H,W");
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "threads to use (one per processor)")->option_text("N");
}

void add_json(CLI::App& app, bool& json) { app.add_flag("--json", json, "print one JSON object"); }

}  // namespace evenkeel::app
