// A network written again, in the format that the file's name says.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "loaded_run.h"

namespace evenkeel::app {

/// Throws UsageError, in the name of the command, unless `output` ends in .onnx or, for what is not
/// itself an ONNX model, in .safetensors.
void check_output(std::string_view command, const std::string& run, const std::string& output);

/// Writes the network with its recipe. A .safetensors file gets the notes, and keeps
/// those on how its statistics came about.
void save(LoadedRun& run, const std::string& output, std::map<std::string, std::string> notes);

}  // namespace evenkeel::app
