// A network written again, in the format that the file's name says.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "loaded_run.h"
#include <evenkeel/deploy/onnx_export.h>

namespace evenkeel::app {

/// Throws UsageError, in the name of the command, unless `output` ends in .onnx or, for what is not
/// itself an ONNX model, in .safetensors; and what check_destination() throws.
void check_output(std::string_view command, const std::string& run, const std::string& output);

/// Throws UsageError where `output` is one of the `inputs`, or a file that the run it lies in keeps
/// there: it would be lost, whatever became of the new one.
void check_destination(std::string_view command, const std::vector<std::string>& inputs,
                       const std::string& output);

/// Writes an ONNX model with the recipe and, of a network that came from one, its batch and the
/// names of its input and output. The report's notes say what of that model is not in the file;
/// further outputs are warned of on standard error.
deploy::ExportReport save_onnx(const LoadedRun& run, const std::string& output,
                               deploy::ExportOptions options = {});

/// Writes the network with its recipe. A .safetensors file gets the notes, and keeps
/// those on how its statistics came about. Returns those of save_onnx.
std::vector<std::string> save(LoadedRun& run, const std::string& output,
                              std::map<std::string, std::string> notes);

}  // namespace evenkeel::app
