// Options that several commands have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace evenkeel::app {

/// RUN: a trained network, as load() takes it.
void add_run(CLI::App& app, std::string& run);
/// --input: the shape of one sample, as load() takes it; `when` it is needed goes into the help.
CLI::Option* add_input(CLI::App& app, std::vector<std::int64_t>& input, std::string_view when = "");
/// The same where a model may leave it open.
inline void add_open_input(CLI::App& app, std::vector<std::int64_t>& input) {
  add_input(app, input, ", where an .onnx model leaves it open");
}
/// --threads, for use_threads().
void add_threads(CLI::App& app, int& threads);
/// --json
void add_json(CLI::App& app, bool& json);

}  // namespace evenkeel::app
