#include "help.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "command.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>

namespace evenkeel::app {
namespace {

constexpr std::size_t kColumn = 26;
constexpr std::size_t kWidth = 80;

const CLI::App& selected(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : *chosen.back();
}

std::string nearest_flag(const CLI::App& app, const std::string& word) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return did_you_mean(word, flags);
}

std::string extras_message(const CLI::App& app) {
  for (const std::string& word : app.remaining()) {
    if (word.empty() || word[0] != '-') continue;
    const std::string flag = word.substr(0, word.find('='));
    return fmt::format("there is no flag '{}'{}", flag, nearest_flag(app, flag));
  }
  const auto words = app.remaining();
  return fmt::format("unexpected argument '{}'", words.empty() ? "" : words.front());
}

/// "--mode: tain not in {eval,train}" in the words of the other messages; empty for another text.
std::string choice_message(const std::string& text) {
  const std::size_t colon = text.find(": ");
  const std::size_t brace = text.rfind(" not in {");
  if (colon == std::string::npos || brace == std::string::npos || !text.ends_with('}')) return "";
  std::string choices;
  for (const char c : text.substr(brace + 9, text.size() - brace - 10)) {
    if (c == ',') {
      choices += " or ";
    } else {
      choices += c;
    }
  }
  return fmt::format("{} expects {}, got '{}'", text.substr(0, colon), choices,
                     text.substr(colon + 2, brace - colon - 2));
}

/// "Could not convert: --top = x" in the words of the other messages.
std::string conversion_message(const std::string& text) {
  if (const std::string choice = choice_message(text); !choice.empty()) return choice;
  const std::string head = "Could not convert: ";
  const std::size_t equals = text.find(" = ");
  if (text.rfind(head, 0) != 0 || equals == std::string::npos) return text;
  return fmt::format("{} expects a number, got '{}'",
                     text.substr(head.size(), equals - head.size()), text.substr(equals + 3));
}

}  // namespace

HelpFormatter::HelpFormatter() {
  column_width(kColumn);
  label("Positionals", "Arguments");
  label("SUBCOMMAND", "COMMAND");
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode mode) const {
  std::string text = make_usage(app, std::move(name)) + "\n" + make_description(app) +
                     make_positionals(app) + "\n" + make_groups(app, mode) +
                     make_subcommands(app, mode) + "\n" + make_footer(app);
  for (std::size_t at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n")) {
    text.erase(at, 1);  // the base class separates groups by more than one empty line
  }
  return text;
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  const std::string name =
      "  " + make_option_name(option, is_positional) + make_option_opts(option);
  std::string text = name;
  std::size_t at = width_of(name);
  for (const std::string& line : wrapped(option->get_description(), kWidth - kColumn)) {
    if (at + 2 > kColumn) {
      text += "\n";
      at = 0;
    }
    text += std::string(kColumn - at, ' ') + line;
    at = kWidth;  // the next line is a new one
  }
  return text + "\n";
}

void check_command(int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string word = argv[1];
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == word) return;
    names.push_back(command.name);
  }
  std::string hint = did_you_mean(word, names);
  if (word.ends_with(".toml")) hint = fmt::format("; did you mean 'evenkeel train {}'?", word);
  if (hint.empty()) hint = fmt::format("; the commands are {}", fmt::join(names, ", "));
  fail<UsageError>("there is no command '{}'{}", word, hint);
}

std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& sub = selected(app);
  const bool extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const std::string command = &sub == &app ? "evenkeel" : "evenkeel " + sub.get_name();
  std::string message = extras ? extras_message(sub) : conversion_message(error.what());
  if (message.find("did you mean") == std::string::npos) {
    message += fmt::format("; see '{} --help'", command);
  }
  return message;
}

}  // namespace evenkeel::app
