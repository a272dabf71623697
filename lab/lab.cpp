#include "lab/lab.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/report/page.h"
#include "lab/results.h"
#include "lab/time_left.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/shell_word.h>
#include <evenkeel/io/file.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::lab {
namespace {

constexpr int kFewestSeeds = 5, kFewestOfTrial = 2, kMostSeeds = 100;
constexpr int kMostJobs = 256;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class DeterministicScope {
 public:
  DeterministicScope() : before_(deterministic()) { set_deterministic(true); }
  ~DeterministicScope() { set_deterministic(before_); }
  DeterministicScope(const DeterministicScope&) = delete;
  DeterministicScope& operator=(const DeterministicScope&) = delete;

 private:
  bool before_;
};

std::string_view name_of(Arms arms) {
  return arms == Arms::swapped ? "swapped" : arms == Arms::identical ? "identical" : "declared";
}

void check(const LabOptions& options) {
  const int fewest = options.budget == Budget::trial ? kFewestOfTrial : kFewestSeeds;
  if (options.seeds < fewest || options.seeds > kMostSeeds) {
    fail<UsageError>(
        "[lab] --seeds lies from {} to {}, got {}; a verdict needs {} seeds or more, and --trial, "
        "whose verdicts mean nothing, {} or more",
        fewest, kMostSeeds, options.seeds, kFewestSeeds, kFewestOfTrial);
  }
  if (options.jobs < 0 || options.jobs > kMostJobs) {
    fail<UsageError>("[lab] --jobs lies from 1 to {}, or is 0 for one per processor, got {}",
                     kMostJobs, options.jobs);
  }
}

std::vector<const Experiment*> chosen_by(const LabOptions& options) {
  std::vector<const Experiment*> chosen;
  for (const std::string& name : options.names) (void)find_experiment(name);
  for (const Experiment& experiment : experiments()) {
    const bool wanted = options.names.empty() ||
                        std::ranges::find(options.names, experiment.name) != options.names.end();
    if (wanted) chosen.push_back(&experiment);
  }
  return chosen;
}

/// What makes a journal that of this lab. The names are not: more experiments may join.
Json identity_of(const LabOptions& options) {
  return {{"kind", "journal"},
          {"version", options.version},
          {"budget", name_of(options.budget)},
          {"data", options.data},
          {"seeds", options.seeds},
          {"arms", name_of(options.arms)},
          {"kernels", norm::chosen_isa()}};
}

/// The command that measures these experiments with the same options, as one would type it.
std::string command_of(const LabOptions& options, const std::vector<std::string>& names) {
  std::string command = "evenkeel lab";
  for (const std::string& name : names) command += " " + name;
  if (options.budget != Budget::quick) command += fmt::format(" --{}", name_of(options.budget));
  if (options.seeds != LabOptions().seeds) command += fmt::format(" --seeds {}", options.seeds);
  if (options.data != LabOptions().data) {
    for (const std::string& spec : options.data) command += " --data " + shell_word(spec);
  }
  if (options.arms != Arms::declared) command += fmt::format(" --arms {}", name_of(options.arms));
  return command;
}

class Lab {
 public:
  Lab(const LabOptions& options, Listener& listener)
      : options_(options), listener_(listener), chosen_(chosen_by(options)) {}

  LabResult run();

 private:
  void begin();
  Finding run(const Experiment& experiment);
  std::string try_with(const Material& material, const Experiment& experiment, Finding& finding);
  void finish(const Experiment& experiment, const Session& session, Finding& finding);
  void add(const Experiment& experiment, Json line);
  void write();
  std::vector<std::string> names() const;
  Json head() const;
  Json experiment_line(const Experiment& experiment, const std::string& data,
                       const std::vector<std::string>& setup) const;

  const LabOptions& options_;
  Listener& listener_;
  std::vector<const Experiment*> chosen_;
  std::vector<Material> materials_;
  std::optional<Journal> journal_;
  Results results_;
  std::optional<TimeLeft> time_;
  std::mutex mutex_;  // of calls to the listener from cells, and of progress_
  CellProgress progress_;
  std::vector<std::string> lines_;  // of the experiment that runs
  LabResult result_;
};

LabResult Lab::run() {
  const DeterministicScope deterministic;
  begin();
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    listener_.on_experiment(i, *chosen_[i]);
    const double start = seconds_now();
    time_->begin(i, start);
    progress_ = {};
    Finding finding = run(*chosen_[i]);
    finding.elapsed = seconds_now() - start;
    time_->end(progress_, seconds_now());
    results_.put(finding.name, std::move(lines_));
    lines_.clear();
    write();
    result_.findings.push_back(finding);
    listener_.on_finding(finding);
  }
  result_.measured = journal_->added();
  return result_;
}

/// Opens everything, all data before anything is written: what is mistyped leaves no trace.
void Lab::begin() {
  for (const std::string& spec : options_.data) materials_.push_back(open_material(spec));
  io::probe_writable(options_.out);
  const std::filesystem::path cells = options_.out / "cells.jsonl";
  journal_.emplace(cells, identity_of(options_));
  result_.results = options_.out / "results.jsonl";
  result_.page = options_.out / "index.html";
  results_.take_earlier(result_.results, head());
  for (const std::string& name : results_.names()) {
    if (std::ranges::find(chosen_, name, &Experiment::name) == chosen_.end()) ++result_.earlier;
  }
  time_.emplace(chosen_, options_.budget, results_.names());
  if (journal_->damaged() > 0) {
    listener_.on_warning(fmt::format(
        "lines of '{}' that do not read, and are left out: {}; their cells are measured again",
        cells.string(), journal_->damaged()));
  }
  listener_.on_start(chosen_.size(), journal_->resumed());
}

/// With the first data that serve; skipped where none do.
Finding Lab::run(const Experiment& experiment) {
  Finding finding{.name = experiment.name,
                  .title = experiment.title,
                  .verdict = Verdict::skipped,
                  .summary = {}};
  std::vector<std::string> reasons;
  for (const Material& material : materials_) {
    std::string reason = why_not(material, experiment.needs);
    if (reason.empty()) reason = try_with(material, experiment, finding);
    if (reason.empty()) break;
    reasons.push_back(reason);
  }
  if (finding.verdict == Verdict::skipped) {
    finding.summary = fmt::format("{}", fmt::join(reasons, "; "));
    add(experiment, experiment_line(experiment, "", {}));
  }
  add(experiment, {{"kind", "verdict"},
                   {"experiment", experiment.name},
                   {"verdict", lab::name_of(finding.verdict)},
                   {"summary", finding.summary},
                   {"seconds", finding.seconds}});
  return finding;
}

/// Why the data do not serve, if the experiment finds that they do not; then nothing is changed.
std::string Lab::try_with(const Material& material, const Experiment& experiment,
                          Finding& finding) {
  SessionOptions session_options{.budget = options_.budget,
                                 .seeds = options_.seeds,
                                 .jobs = options_.jobs > 0 ? options_.jobs : max_threads(),
                                 .arms = options_.arms,
                                 .clock = options_.clock,
                                 .plant = options_.plant};
  session_options.progress = [this](const CellProgress& progress) {
    const std::scoped_lock lock(mutex_);
    progress_ = progress;
    listener_.on_progress(progress, time_->left(progress, seconds_now()));
  };
  Session session(experiment, material, *journal_, session_options);
  try {
    experiment.run(session);
    finding.verdict = session.verdict();
    finding.summary = session.summary();
  } catch (const UnsuitableData& reason) {
    return reason.what();
  } catch (const IoError&) {
    throw;  // the disk, most likely: nothing that follows could be kept
  } catch (const Error& error) {
    finding.verdict = Verdict::failed;
    finding.summary = error.what();
  }
  add(experiment, experiment_line(experiment, material.spec, session.setup()));
  finish(experiment, session, finding);
  return {};
}

void Lab::finish(const Experiment& experiment, const Session& session, Finding& finding) {
  for (const Result& result : session.results()) {
    lines_.push_back(text_of(to_json(experiment.name, result)));
    finding.seconds += result.measurement.seconds;
  }
  if (finding.verdict == Verdict::failed) return;
  for (const Chart& chart : session.charts()) add(experiment, to_json(experiment.name, chart));
  for (const DataTable& table : session.tables()) add(experiment, to_json(experiment.name, table));
  for (const Check& one : session.checks()) add(experiment, to_json(experiment.name, one));
}

void Lab::add(const Experiment& experiment, Json line) {
  if (experiment.timed && line.at("kind") != "experiment") line["timed"] = true;
  lines_.push_back(text_of(line));
}

void Lab::write() {
  const std::vector<std::string> lines = results_.lines(head());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  io::write_file_atomic(result_.results, std::string_view(text));
  write_page(result_.page, lines);
}

/// Of all experiments that the report holds or will hold; none where that is all there are.
std::vector<std::string> Lab::names() const {
  std::vector<std::string> names;
  for (const Experiment& one : experiments()) {
    const bool wanted = std::ranges::find(chosen_, &one) != chosen_.end();
    if (wanted || results_.has(one.name)) names.push_back(one.name);
  }
  if (names.size() == experiments().size()) names.clear();
  return names;
}

Json Lab::head() const {
  Json head{{"kind", "lab"},
            {"version", options_.version},
            {"budget", name_of(options_.budget)},
            {"data", options_.data},
            {"seeds", options_.seeds},
            {"kernels", norm::chosen_isa()},
            {"command", command_of(options_, names())},
            {"machine", fmt::format("{} processors, {}", std::thread::hardware_concurrency(),
                                    norm::chosen_isa())}};
  if (options_.arms != Arms::declared) head["arms"] = name_of(options_.arms);
  return head;
}

Json Lab::experiment_line(const Experiment& experiment, const std::string& data,
                          const std::vector<std::string>& setup) const {
  return {{"kind", "experiment"},
          {"name", experiment.name},
          {"title", experiment.title},
          {"claim", experiment.claim},
          {"source", experiment.source},
          {"question", experiment.question},
          {"setup", setup},
          {"supports", experiment.supports},
          {"contradicts", experiment.contradicts},
          {"practice", experiment.practice},
          {"command", command_of(options_, {experiment.name})},
          {"data", data}};
}

}  // namespace

LabResult run_lab(const LabOptions& options, Listener& listener) {
  check(options);
  return Lab(options, listener).run();
}

Json without_times(const Json& line) {
  const std::string kind = line.at("kind").get<std::string>();
  if (line.value("timed", false)) return {{"kind", kind}, {"timed", true}};
  Json rest = line;
  for (const char* const key : {"seconds", "command", "machine"}) rest.erase(key);
  if (kind == "cell") {
    Json values = Json::object();
    for (const auto& [name, value] : line.at("values").items()) {
      const bool varies = name.ends_with("_s") || name.ends_with("_ms") || name.ends_with("_bytes");
      if (!varies) values[name] = value;
    }
    rest["values"] = values;
  }
  return rest;
}

std::string_view name_of(Budget budget) {
  return budget == Budget::quick ? "quick" : budget == Budget::full ? "full" : "trial";
}

}  // namespace evenkeel::lab
