// What a subcommand is.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace evenkeel::app {

/// Runs a parsed subcommand and returns the exit code.
using Action = std::function<int()>;

struct Command {
  std::string name;
  std::string help;  ///< one line
  /// Adds the subcommand's options to `app`; the action reads what was parsed into them.
  Action (*define)(CLI::App& app);
};

/// All subcommands, in the order in which they are listed to people.
const std::vector<Command>& commands();

Action define_train(CLI::App& app);
Action define_compare(CLI::App& app);
Action define_lab(CLI::App& app);
Action define_eval(CLI::App& app);
Action define_predict(CLI::App& app);
Action define_inspect(CLI::App& app);
Action define_export(CLI::App& app);
Action define_fold(CLI::App& app);
Action define_import(CLI::App& app);
Action define_recalibrate(CLI::App& app);
Action define_doctor(CLI::App& app);
Action define_report(CLI::App& app);
Action define_bench(CLI::App& app);
Action define_info(CLI::App& app);

}  // namespace evenkeel::app
