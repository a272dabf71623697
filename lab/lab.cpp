#include "lab/lab.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/report/page.h"
#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/io/file.h>
#include <evenkeel/norm/isa.h>

namespace evenkeel::lab {
namespace {

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

/// The data sets that were named, each opened once and only if an experiment takes it.
class Materials {
 public:
  explicit Materials(const std::vector<std::string>& specs) {
    for (const std::string& spec : specs) entries_.push_back({spec, std::nullopt});
  }

  /// The first that serves; none, with the reasons of all, where none does.
  const Material* find(Needs needs, std::string& reason) {
    std::vector<std::string> reasons;
    for (Entry& entry : entries_) {
      if (!entry.material) entry.material = open_material(entry.spec);
      const std::string why = why_not(*entry.material, needs);
      if (why.empty()) return &*entry.material;
      reasons.push_back(why);
    }
    reason = fmt::format("{}", fmt::join(reasons, "; "));
    return nullptr;
  }

 private:
  struct Entry {
    std::string spec;
    std::optional<Material> material;
  };
  std::vector<Entry> entries_;
};

/// The rest of the lab at the pace of what is done: seconds per nominal second.
class TimeLeft {
 public:
  TimeLeft(const std::vector<const Experiment*>& chosen, Budget budget) {
    for (const Experiment* one : chosen) nominal_.push_back(nominal(*one, budget));
  }

  void begin(std::size_t number) {
    number_ = number;
    started_ = seconds_now();
  }
  void end() {
    spent_ += seconds_now() - started_;
    passed_ += nominal_[number_];
  }
  double left(const CellProgress& progress) const {
    double later = 0;
    for (std::size_t i = number_ + 1; i < nominal_.size(); ++i) later += nominal_[i];
    const double now = seconds_now() - started_;
    const double share =
        progress.expected > 0 ? std::min(progress.done / progress.expected, 1.0) : 0;
    const double whole = share > 0.05 ? now / share : nominal_[number_];
    const double pace = passed_ > 0 ? spent_ / passed_ : whole / nominal_[number_];
    return std::max(0.0, whole - now) + later * pace;
  }

 private:
  static double nominal(const Experiment& experiment, Budget budget) {
    return budget == Budget::full ? experiment.full_seconds : experiment.quick_seconds;
  }

  std::vector<double> nominal_;
  std::size_t number_ = 0;
  double started_ = 0, spent_ = 0, passed_ = 0;
};

void check(const LabOptions& options) {
  if (options.seeds < 2 || options.seeds > 100) {
    fail<UsageError>(
        "[lab] --seeds lies from 2 to 100, got {}; verdicts need the spread, five seeds or more",
        options.seeds);
  }
  if (options.jobs < 0 || options.jobs > 256) {
    fail<UsageError>("[lab] --jobs lies from 1 to 256, got {}", options.jobs);
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

class Lab {
 public:
  Lab(const LabOptions& options, Listener& listener)
      : options_(options),
        listener_(listener),
        chosen_(chosen_by(options)),
        materials_(options.data),
        time_(chosen_, options.budget) {}

  LabResult run();

 private:
  Finding run(const Experiment& experiment);
  void write();
  std::string command_for(const Experiment& experiment) const;
  Json head() const;
  Json experiment_line(const Experiment& experiment, const std::string& data,
                       const std::vector<std::string>& setup) const;
  void finish(const Experiment& experiment, const Session& session, Finding& finding);
  void add(const Experiment& experiment, Json line);

  const LabOptions& options_;
  Listener& listener_;
  std::vector<const Experiment*> chosen_;
  Materials materials_;
  TimeLeft time_;
  std::optional<Journal> journal_;
  std::mutex mutex_;  // of calls to the listener from cells
  std::vector<std::string> lines_;
  LabResult result_;
};

LabResult Lab::run() {
  io::probe_writable(options_.out);
  journal_.emplace(options_.out / "cells.jsonl", identity_of(options_));
  result_.results = options_.out / "results.jsonl";
  result_.page = options_.out / "index.html";
  lines_.push_back(text_of(head()));
  listener_.on_start(chosen_.size(), journal_->resumed());
  const DeterministicScope deterministic;
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    listener_.on_experiment(i, *chosen_[i]);
    time_.begin(i);
    const Finding finding = run(*chosen_[i]);
    time_.end();
    result_.findings.push_back(finding);
    write();
    listener_.on_finding(finding);
  }
  return result_;
}

Finding Lab::run(const Experiment& experiment) {
  Finding finding{experiment.name, experiment.title, Verdict::skipped, {}, 0};
  const double start = seconds_now();
  std::string reason;
  const Material* const material = materials_.find(experiment.needs, reason);
  if (material == nullptr) {
    finding.summary = reason;
    add(experiment, experiment_line(experiment, "", {}));
  } else {
    SessionOptions session_options{.budget = options_.budget,
                                   .seeds = options_.seeds,
                                   .jobs = options_.jobs > 0 ? options_.jobs : max_threads(),
                                   .arms = options_.arms,
                                   .clock = options_.clock,
                                   .plant = options_.plant};
    session_options.progress = [this](const CellProgress& progress) {
      const std::scoped_lock lock(mutex_);
      listener_.on_progress(progress, time_.left(progress));
    };
    Session session(experiment, *material, *journal_, session_options);
    try {
      experiment.run(session);
      finding.verdict = session.verdict();
      finding.summary = session.summary();
    } catch (const IoError&) {
      throw;  // the disk, most likely: nothing that follows could be kept
    } catch (const Error& error) {
      finding.verdict = Verdict::failed;
      finding.summary = error.what();
    }
    add(experiment, experiment_line(experiment, material->spec, session.setup()));
    finish(experiment, session, finding);
  }
  finding.seconds = seconds_now() - start;
  add(experiment, {{"kind", "verdict"},
                   {"experiment", experiment.name},
                   {"verdict", lab::name_of(finding.verdict)},
                   {"summary", finding.summary},
                   {"seconds", finding.seconds}});
  return finding;
}

void Lab::finish(const Experiment& experiment, const Session& session, Finding& finding) {
  for (const Result& result : session.results()) {
    lines_.push_back(text_of(to_json(experiment.name, result)));
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

Json Lab::head() const {
  Json head{{"kind", "lab"},
            {"version", options_.version},
            {"budget", name_of(options_.budget)},
            {"data", options_.data},
            {"seeds", options_.seeds},
            {"command", options_.command},
            {"machine", fmt::format("{} processors, {}", std::thread::hardware_concurrency(),
                                    norm::chosen_isa())}};
  if (options_.arms != Arms::declared) head["arms"] = name_of(options_.arms);
  return head;
}

std::string Lab::command_for(const Experiment& experiment) const {
  std::string command = "evenkeel lab " + experiment.name;
  if (options_.budget != Budget::quick) command += fmt::format(" --{}", name_of(options_.budget));
  if (options_.seeds != LabOptions().seeds) command += fmt::format(" --seeds {}", options_.seeds);
  if (options_.data != LabOptions().data) {
    for (const std::string& spec : options_.data) command += " --data " + spec;
  }
  if (options_.arms != Arms::declared) command += fmt::format(" --arms {}", name_of(options_.arms));
  return command;
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
          {"command", command_for(experiment)},
          {"data", data}};
}

void Lab::write() {
  std::string text;
  for (const std::string& line : lines_) text += line + "\n";
  io::write_file_atomic(result_.results, std::string_view(text));
  write_page(result_.page, lines_);
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
