// How the inputs of a network are normalized, where its file does not say it.
#pragma once

#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "loaded_run.h"
#include "text.h"

namespace evenkeel::app {

/// Of values scaled to [0, 1] if they are bytes; empty where it is not given.
struct InputNumbers {
  std::vector<float> mean, stddev;

  bool given() const { return !mean.empty() || !stddev.empty(); }
};

/// --mean and --std, in a group of the help where one is named.
void add_inputs(CLI::App& app, InputNumbers& inputs, const std::string& group = "");

/// Throws UsageError, in the name of the command, unless there are as many finite means as standard
/// deviations above 0, and, where `channels` is above 0, as many as that.
void check_inputs(std::string_view command, const InputNumbers& inputs, std::int64_t channels = 0);

/// Puts what is given into the network's recipe. Throws UsageError where that says it already.
void set_inputs(std::string_view command, LoadedRun& run, const InputNumbers& inputs);

/// Where neither the file nor the command line says it: one line on standard error.
void note_inputs(const LoadedRun& run);

/// {"mean": [...], "std": [...]}, null where it is not known.
Json inputs_json(const LoadedRun& run);

}  // namespace evenkeel::app
