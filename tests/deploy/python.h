// Other tools' word on our models, through Python. EVENKEEL_PYTHON names an interpreter other than
// /usr/bin/python3, EVENKEEL_ORT_PYTHON one that has onnxruntime.
#pragma once

#include <cstdlib>
#include <string>

#include "deploy/onnx_bytes.h"

namespace evenkeel::deploy::testing {

inline std::string from_environment(const char* name, const std::string& otherwise) {
  const char* const given = std::getenv(name);
  return given != nullptr ? given : otherwise;
}

inline std::string python() { return from_environment("EVENKEEL_PYTHON", "/usr/bin/python3"); }
inline std::string ort_python() { return from_environment("EVENKEEL_ORT_PYTHON", python()); }

inline bool succeeds(const std::string& command) { return std::system(command.c_str()) == 0; }

/// Modules separated by commas.
inline bool has_modules(const std::string& interpreter, const std::string& modules) {
  return succeeds(interpreter + " -c 'import " + modules + "' 2>/dev/null");
}

/// An action of models.py on a model in the test's folder.
inline bool script(const std::string& interpreter, const std::string& action,
                   const std::string& model) {
  return succeeds(interpreter + " " EVENKEEL_DEPLOY_TESTS "/models.py " + action + " " +
                  test_folder().string() + " " + model);
}

}  // namespace evenkeel::deploy::testing
