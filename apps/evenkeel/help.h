// Help and usage errors of the command line.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace evenkeel::app {

/// Wraps help texts to the width of a terminal.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

/// Throws UsageError unless argv[1] is a flag or a subcommand, with the nearest one.
void check_command(int argc, const char* const* argv);

/// One line for a fault of the command line: what was wrong, and the nearest flag that exists.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error);

}  // namespace evenkeel::app
