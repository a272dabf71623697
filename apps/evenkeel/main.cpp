// The evenkeel command: parses, runs one subcommand, and turns every failure into one line.

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "command.h"
#include "help.h"
#include "text.h"
#include <evenkeel/core/error.h>

namespace evenkeel::app {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

int report(std::string message, int code) {
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  message = "evenkeel: " + message + "\n";
  std::fwrite(message.data(), 1, message.size(),
              stderr);  // where even that fails, the code is left
  return code;
}

/// Where standard streams are closed, the next files opened would take their places, and what is
/// printed would go into them.
void open_standard_streams() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) {
    descriptor = ::open("/dev/null", O_RDWR);
  }
  if (descriptor > STDERR_FILENO) ::close(descriptor);
}

struct Program {
  CLI::App app{"Train, evaluate and inspect networks with batch normalization.", "evenkeel"};
  std::vector<std::pair<CLI::App*, Action>> actions;

  Program() {
    app.formatter(std::make_shared<HelpFormatter>());
    app.set_version_flag("--version", "evenkeel " EVENKEEL_VERSION, "Print the version");
    app.get_option("--help")->description("Print this help");
    app.footer(
        "Begin with:\n"
        "  evenkeel train --net mlp --data glyphs\n"
        "and see 'evenkeel COMMAND --help' for what each command takes.");
    for (const Command& command : commands()) {
      CLI::App* sub = app.add_subcommand(command.name, command.help)->group("Commands");
      sub->get_option("--help")->description("Print this help");
      actions.emplace_back(sub, command.define(*sub));
    }
    app.require_subcommand(0, 1);
  }

  int run(int argc, const char* const* argv) {
    try {
      app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      print(app.help());
      return 0;
    } catch (const CLI::CallForVersion& version) {
      print(std::string(version.what()) + "\n");
      return 0;
    } catch (const CLI::ParseError& error) {
      return report(usage_message(app, error), kUsage);
    }
    for (const auto& [sub, action] : actions) {
      if (sub->parsed()) return action();
    }
    print(app.help());
    return report("expected a command; begin with 'evenkeel train'", kUsage);
  }
};

int run(int argc, const char* const* argv) {
  try {
    check_command(argc, argv);
    Program program;
    return program.run(argc, argv);
  } catch (const UsageError& error) {
    return report(error.what(), kUsage);
  } catch (const std::bad_alloc&) {
    return report(
        "out of memory; use a smaller --batch-size, a smaller network or a machine with more",
        kFailure);
  } catch (const std::exception& error) {
    return report(error.what(), kFailure);
  }
}

}  // namespace
}  // namespace evenkeel::app

int main(int argc, char** argv) {
  evenkeel::app::open_standard_streams();
  // A reader that goes away, as in `evenkeel train | head`, must not end a training run.
  std::signal(SIGPIPE, SIG_IGN);
  // Nor a limit on file sizes (ulimit -f): the write then fails and is reported.
  std::signal(SIGXFSZ, SIG_IGN);
  const int code = evenkeel::app::run(argc, argv);
  if (!evenkeel::app::flush_output()) {
    std::fputs("evenkeel: standard output cannot be written; is the disk full?\n", stderr);
    return code == 0 ? 1 : code;
  }
  return code;
}
