// evenkeel report

#include <algorithm>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <lab/report/page.h>
#include <lab/report/run_charts.h>

#include "command.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/shell_word.h>

namespace evenkeel::app {
namespace {

struct ReportArguments {
  std::vector<std::string> runs;
  std::string output = "report.html";
  bool json = false;
};

void check(const ReportArguments& arguments) {
  std::set<std::string> names;
  for (const std::string& run : arguments.runs) {
    if (!names.insert(run).second) {
      fail<UsageError>("[report] '{}' is named twice; name each run once", run);
    }
  }
  if (!arguments.output.ends_with(".html")) {
    fail<UsageError>("[report] '{}' is no name of a page; give one that ends in .html",
                     arguments.output);
  }
}

std::size_t charts_in(const std::vector<std::string>& lines) {
  return static_cast<std::size_t>(std::ranges::count_if(
      lines, [](const std::string& line) { return line.starts_with(R"({"kind":"chart")"); }));
}

/// A text of a file for a terminal: nothing that would steer it.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

Json json_of(const lab::RunMetrics& run) {
  Json facts = Json::object();
  for (const auto& [name, value] : run.facts) facts[name] = value;
  return {{"run", run.name}, {"facts", facts}, {"notes", run.notes}};
}

int run_report(const ReportArguments& arguments) {
  check(arguments);
  std::vector<lab::RunMetrics> runs;
  std::string command = "evenkeel report";
  for (const std::string& run : arguments.runs) {
    runs.push_back(lab::read_metrics(run));
    command += " " + shell_word(run);
  }
  const std::vector<std::string> lines = lab::report_lines(runs, EVENKEEL_VERSION, command);
  const std::string title = runs.size() == 1 ? runs[0].name : fmt::format("{} runs", runs.size());
  lab::write_page(arguments.output, lines, {.title = title + ", evenkeel"});

  if (arguments.json) {
    Json list = Json::array();
    for (const lab::RunMetrics& run : runs) list.push_back(json_of(run));
    print_json({{"file", arguments.output}, {"charts", charts_in(lines)}, {"runs", list}});
    return 0;
  }
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  table.add({"page", arguments.output});
  table.add({"charts", fmt::format("{}", charts_in(lines))});
  for (const lab::RunMetrics& run : runs) {
    for (const std::string& note : run.notes) {
      table.add({"note", printable(run.name + ": " + note)});
    }
  }
  print(table.str());
  return 0;
}

}  // namespace

Action define_report(CLI::App& app) {
  auto arguments = std::make_shared<ReportArguments>();
  app.add_option("RUN", arguments->runs, "run folders, drawn side by side")
      ->required()
      ->option_text("...");
  app.add_option("-o,--output", arguments->output, "the page to write (report.html)")
      ->option_text("FILE");
  app.add_flag("--json", arguments->json, "print one JSON object");
  app.footer(
      "One HTML file that opens offline: loss, accuracy and learning rate; of runs\n"
      "trained with --probe-every also running against batch statistics, percentiles of\n"
      "activations, norms of gradients and weights, γ and β.\n\n"
      "Examples:\n"
      "  evenkeel report runs/mlp-glyphs\n"
      "  evenkeel report runs/with runs/without -o compared.html");
  return [arguments] { return run_report(*arguments); };
}

}  // namespace evenkeel::app
