// evenkeel lab: the claims made for batch normalization, measured here.

#include "lab/lab.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "command.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>

namespace evenkeel::app {
namespace {

struct LabArguments {
  std::vector<std::string> words;
  bool quick = false, full = false, trial = false;
  std::vector<std::string> data;
  int seeds = 5;
  int jobs = 0;
  std::string out = "runs/lab";
  std::string arms = "declared";
  bool json = false;
};

/// "1:05", "2:03:20"
std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string counted(std::size_t count) { return grouped(static_cast<std::int64_t>(count)); }

/// A line per experiment, and on a terminal what is under way.
class Terminal : public lab::Listener {
 public:
  explicit Terminal(bool silent) : silent_(silent), live_(!silent && isatty(STDERR_FILENO) == 1) {}
  ~Terminal() override { wipe(); }

  void on_warning(const std::string& text) override {
    wipe();
    fmt::print(stderr, "evenkeel: warning: {}\n", text);
  }
  void on_start(std::size_t experiments, std::size_t resumed_cells) override {
    count_ = experiments;
    if (resumed_cells > 0) {
      say(fmt::format("Measurements kept from before: {}.\n", counted(resumed_cells)));
    }
  }
  void on_experiment(std::size_t number, const lab::Experiment& experiment) override {
    number_ = number + 1;
    name_ = experiment.name;
    draw("");
  }
  void on_progress(const lab::CellProgress& progress, double left) override {
    const double share =
        progress.expected > 0 ? std::min(1.0, progress.done / progress.expected) : 0;
    draw(fmt::format(", {:.0f} %, about {} left in all", share * 100, clock_text(left)));
  }
  void on_finding(const lab::Finding& finding) override {
    wipe();
    std::string text = fmt::format("{:>2}/{}  {:<16} {:<13} {:>6}\n", number_, count_, finding.name,
                                   lab::name_of(finding.verdict), clock_text(finding.elapsed));
    for (const std::string& line : wrapped(finding.summary, 72)) text += "       " + line + "\n";
    say(text);
  }

 private:
  void draw(const std::string& rest) {
    if (live_) fmt::print(stderr, "\r\033[K  {} of {}: {}{}", number_, count_, name_, rest);
  }
  void wipe() {
    if (live_) fmt::print(stderr, "\r\033[K");
  }
  void say(const std::string& text) {
    if (!silent_) print(text);
    std::fflush(stdout);
  }

  bool silent_, live_;
  std::size_t count_ = 0, number_ = 0;
  std::string name_;
};

/// What was measured is in the folder already, so that an interruption needs no more than a word.
void leave(int signal) {
  static constexpr char kText[] =
      "\nevenkeel: interrupted; what was measured is kept: start the same command again to go on\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, sizeof(kText) - 1);
  ::_exit(128 + signal);
}

class LeaveOnSignal {
 public:
  LeaveOnSignal() {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, leave);
  }
  ~LeaveOnSignal() {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  }
  LeaveOnSignal(const LeaveOnSignal&) = delete;
  LeaveOnSignal& operator=(const LeaveOnSignal&) = delete;
};

int list(bool json) {
  if (json) {
    Json all = Json::array();
    for (const lab::Experiment& one : lab::experiments()) {
      all.push_back({{"name", one.name},
                     {"title", one.title},
                     {"claim", one.claim},
                     {"source", one.source},
                     {"quick_seconds", one.quick_seconds},
                     {"full_seconds", one.full_seconds}});
    }
    print_json({{"experiments", all}});
    return 0;
  }
  Table table({{"experiment", Table::Align::left},
               {"what is claimed", Table::Align::left},
               {"quick", Table::Align::right},
               {"full", Table::Align::right}});
  for (const lab::Experiment& one : lab::experiments()) {
    table.add({one.name, one.title, clock_text(one.quick_seconds), clock_text(one.full_seconds)});
  }
  print(table.str());
  print("\nTimes are for two processors. `evenkeel lab show NAME` tells more of one.\n");
  return 0;
}

Json to_json(const lab::Experiment& one) {
  return {{"name", one.name},
          {"title", one.title},
          {"claim", one.claim},
          {"source", one.source},
          {"question", one.question},
          {"supports", one.supports},
          {"contradicts", one.contradicts},
          {"practice", one.practice},
          {"arms", {one.contrast.treatment, one.contrast.control}},
          {"quick_seconds", one.quick_seconds},
          {"full_seconds", one.full_seconds}};
}

int show(const std::string& name, bool json) {
  const lab::Experiment& one = lab::find_experiment(name);
  if (json) {
    print_json(to_json(one));
    return 0;
  }
  print(fmt::format("{}: {}\n\n", one.name, one.title));
  print(definitions(
      {{"claim", one.claim},
       {"source", one.source},
       {"question", one.question},
       {"supported by", one.supports},
       {"contradicted by", one.contradicts},
       {"arms", fmt::format("'{}' and '{}'; --arms swapped exchanges them, --arms "
                            "identical gives both the latter",
                            one.contrast.treatment, one.contrast.control)},
       {"in practice", fmt::format("{}", fmt::join(one.practice, " "))},
       {"takes", fmt::format("{} quick, {} in full, on two processors",
                             clock_text(one.quick_seconds), clock_text(one.full_seconds))}}));
  return 0;
}

std::string closing_words(const lab::LabResult& result) {
  std::string text = "\n";
  const bool any = std::ranges::any_of(result.findings, [](const lab::Finding& finding) {
    return finding.verdict != lab::Verdict::skipped && finding.verdict != lab::Verdict::failed;
  });
  if (any && result.measured == 0) text += "Nothing was left to measure: all numbers were known.\n";
  if (result.earlier > 0) {
    text += fmt::format("The report holds other experiments of before, too: {}.\n",
                        counted(result.earlier));
  }
  return text +
         fmt::format("Report: {}\nNumbers: {}\n", result.page.string(), result.results.string());
}

int measure(const LabArguments& arguments) {
  if (arguments.quick + arguments.full + arguments.trial > 1) {
    fail<UsageError>("[lab] --quick, --full and --trial exclude each other; give one");
  }
  lab::LabOptions options;
  options.names = arguments.words;
  options.budget = arguments.full    ? lab::Budget::full
                   : arguments.trial ? lab::Budget::trial
                                     : lab::Budget::quick;
  if (!arguments.data.empty()) options.data = arguments.data;
  options.seeds = arguments.seeds;
  options.jobs = arguments.jobs;
  options.arms = arguments.arms == "swapped"     ? lab::Arms::swapped
                 : arguments.arms == "identical" ? lab::Arms::identical
                                                 : lab::Arms::declared;
  options.out = arguments.out;
  options.version = EVENKEEL_VERSION;
  const LeaveOnSignal signals;
  lab::LabResult result;
  {
    Terminal terminal(arguments.json);
    result = lab::run_lab(options, terminal);
  }
  if (arguments.json) {
    Json findings = Json::array();
    for (const lab::Finding& finding : result.findings) {
      findings.push_back({{"name", finding.name},
                          {"verdict", lab::name_of(finding.verdict)},
                          {"summary", finding.summary},
                          {"seconds", finding.seconds}});
    }
    print_json({{"findings", findings},
                {"results", result.results.string()},
                {"page", result.page.string()}});
  } else {
    print(closing_words(result));
  }
  const bool failed = std::ranges::any_of(result.findings, [](const lab::Finding& finding) {
    return finding.verdict == lab::Verdict::failed;
  });
  return failed ? 1 : 0;
}

int run_lab_command(const LabArguments& arguments) {
  const std::vector<std::string>& words = arguments.words;
  if (!words.empty() && words[0] == "list") {
    if (words.size() > 1) fail<UsageError>("[lab] list takes no names; see 'lab show NAME'");
    return list(arguments.json);
  }
  if (!words.empty() && words[0] == "show") {
    if (words.size() != 2) fail<UsageError>("[lab] show takes one name, such as convergence");
    return show(words[1], arguments.json);
  }
  return measure(arguments);
}

}  // namespace

Action define_lab(CLI::App& app) {
  auto arguments = std::make_shared<LabArguments>();
  app.add_option("NAME", arguments->words,
                 "experiments to run (all), or 'list', or 'show' and a name")
      ->option_text(" ");
  app.add_flag("--quick", arguments->quick, "half a minute each (the default)");
  app.add_flag("--full", arguments->full, "as long as each claim deserves: hours");
  app.add_flag("--trial", arguments->trial,
               "seconds: whether everything runs; the verdicts mean nothing");
  app.add_option("--data", arguments->data,
                 "a data set (glyphs); of several, each experiment takes the first that serves it")
      ->option_text("SPEC");
  app.add_option("--seeds", arguments->seeds, "runs of every arm (5, the fewest but for --trial)")
      ->option_text("K");
  app.add_option("--out", arguments->out, "folder of results and report (runs/lab)")
      ->option_text("DIR");
  app.add_option("--jobs", arguments->jobs, "runs at a time (0: one per processor)")
      ->option_text("J");
  app.add_option("--arms", arguments->arms,
                 "declared, swapped or identical: whether verdicts can come out otherwise")
      ->check(CLI::IsMember({"declared", "swapped", "identical"}))
      ->option_text("WORD");
  add_json(app, arguments->json);
  app.footer(
      "Measures what is claimed for batch normalization: each claim with its setup, seeds,\n"
      "pictures and a verdict computed from the numbers. Writes index.html, which opens\n"
      "offline, and results.jsonl. Interrupted, it goes on where it stopped; more experiments\n"
      "join those of the same folder.\n\n"
      "Examples:\n"
      "  evenkeel lab\n"
      "  evenkeel lab list\n"
      "  evenkeel lab show batch-size\n"
      "  evenkeel lab convergence learning-rate --full --data mnist:mnist\n"
      "  evenkeel lab batch-size --arms swapped --out runs/swapped");
  return [arguments] { return run_lab_command(*arguments); };
}

}  // namespace evenkeel::app
