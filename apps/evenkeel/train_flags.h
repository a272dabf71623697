// The settings of a training run as flags.
#pragma once

#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include <evenkeel/train/settings.h>

namespace evenkeel::app {

/// One flag for each row of the table of settings.
class TrainFlags {
 public:
  void add_to(CLI::App& app);
  /// Sets what was given on the command line, and nothing else.
  void apply(train::Settings& settings) const;

 private:
  std::map<std::string, std::string> texts_;  // by key
  std::map<std::string, bool> switches_;
  std::map<std::string, const CLI::Option*> options_;
};

}  // namespace evenkeel::app
