// Options that several commands have.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace evenkeel::app {

/// RUN: a trained network, as load() takes it.
void add_run(CLI::App& app, std::string& run);
/// --threads, for use_threads().
void add_threads(CLI::App& app, int& threads);
/// --json
void add_json(CLI::App& app, bool& json);

}  // namespace evenkeel::app
