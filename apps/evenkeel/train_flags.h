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
  /// A flag of the kind on or off is two: --fusion and --no-fusion.
  struct Given {
    const CLI::Option* option = nullptr;
    const CLI::Option* no_option = nullptr;
  };
  void add_switch(CLI::App& app, const train::SettingField& field);
  void add_text(CLI::App& app, const train::SettingField& field);

  std::map<std::string, std::string> texts_;  // by key
  std::map<std::string, Given> given_;
};

}  // namespace evenkeel::app
