// The lab: runs experiments, keeps what they measured, writes results and report.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab {

struct LabOptions {
  std::vector<std::string> names;  ///< of experiments; empty: all
  Budget budget = Budget::quick;
  std::vector<std::string> data{"glyphs"};  ///< each experiment takes the first that serves it
  int seeds = 5;                            ///< 5 to 100; a trial takes 2
  int jobs = 0;                             ///< cells at a time; 0: one per processor
  Arms arms = Arms::declared;
  std::filesystem::path out = "runs/lab";
  std::string version;
  std::function<double()> clock = {};                                  ///< see SessionOptions
  std::function<Measurement(const Cell&, const Measure&)> plant = {};  ///< see SessionOptions
};

/// What came of one experiment.
struct Finding {
  std::string name, title;
  Verdict verdict = Verdict::undecided;
  std::string summary;
  double seconds = 0;  ///< of its cells, of all jobs together, whenever they were measured
  double elapsed = 0;  ///< on the clock, this time
};

struct LabResult {
  std::vector<Finding> findings;  ///< of the experiments that were named
  std::size_t earlier = 0;   ///< experiments of the report that were finished earlier, not named
  std::size_t measured = 0;  ///< cells that were not known yet
  std::filesystem::path results;  ///< JSON lines
  std::filesystem::path page;     ///< HTML
};

/// Hears of a lab; by default does nothing. Calls come one at a time, from any thread.
class Listener {
 public:
  virtual ~Listener() = default;
  /// One sentence, before on_start.
  virtual void on_warning(const std::string& /*text*/) {}
  virtual void on_start(std::size_t /*experiments*/, std::size_t /*resumed_cells*/) {}
  virtual void on_experiment(std::size_t /*number*/, const Experiment& /*experiment*/) {}
  /// `left`: seconds until the end of the lab, as far as can be told; below 0 where it cannot.
  virtual void on_progress(const CellProgress& /*progress*/, double /*left*/) {}
  virtual void on_finding(const Finding& /*finding*/) {}
};

/// Runs experiments in deterministic mode, one after the other. Into `out` go cells.jsonl (every
/// measurement as soon as there is one: a lab that was interrupted goes on from it), and after each
/// experiment results.jsonl (docs/lab.md) and index.html, as a whole; these keep what was finished
/// there earlier with the same options. An experiment that does not fit the data is skipped, one
/// that throws has failed, both with the reason as summary. The same options give the same
/// results.jsonl, times and bytes apart, for any number of jobs.
///
/// Throws UsageError for names, data and numbers that are not known or out of range, and for a
/// folder that holds another lab; IoError for data or a folder that cannot be read or written, and
/// for a folder in which another lab is at work. What was measured stays; names, numbers and all
/// data are looked at before anything is written.
LabResult run_lab(const LabOptions& options, Listener& listener);

/// A line without what differs from run to run: times, bytes, the command and the machine.
Json without_times(const Json& line);

std::string_view name_of(Budget budget);

}  // namespace evenkeel::lab
