// What an experiment has while it runs: data, cells measured in parallel and kept, and a place for
// what came out.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lab/chart.h"
#include "lab/experiment.h"
#include "lab/journal.h"

namespace evenkeel::lab {

/// Who plays the arms of an experiment.
enum class Arms : std::uint8_t {
  declared,
  swapped,   ///< treatment and control exchanged: the verdict must turn round
  identical  ///< every arm is the control: the verdict must be undecided
};

/// Hears of progress; called on the thread that runs the experiment or on one that measures.
struct CellProgress {
  double done = 0;      ///< cost of the finished cells
  double known = 0;     ///< of those, the ones that were measured before: they took no time
  double expected = 0;  ///< cost of all of them, as far as known
};

struct SessionOptions {
  Budget budget = Budget::quick;
  int seeds = 5;
  int jobs = 1;  ///< cells at a time
  Arms arms = Arms::declared;
  std::function<void(const CellProgress&)> progress = {};
  /// Seconds since some moment; replaced by tests that need times to repeat.
  std::function<double()> clock = {};
  /// For tests, which plant what they know: stands in for the measurement of a cell, and is given
  /// it. Empty: cells are measured as they are.
  std::function<Measurement(const Cell& cell, const Measure& measure)> plant = {};
};

class Session {
 public:
  /// The journal may be shared with other sessions.
  Session(const Experiment& experiment, Material material, Journal& journal,
          SessionOptions options);

  const Experiment& experiment() const { return experiment_; }
  const Material& material() const { return material_; }
  Budget budget() const { return options_.budget; }
  /// The value for the budget that runs; a trial takes `trial`.
  template <class T>
  T pick(T quick, T full, T trial) const {
    return options_.budget == Budget::quick  ? quick
           : options_.budget == Budget::full ? full
                                             : trial;
  }
  int seeds() const { return options_.seeds; }
  /// 1, 2, … seeds().
  std::vector<std::uint64_t> seed_list() const;
  /// The arm that plays `arm` (Arms); itself as a rule.
  const std::string& played_by(const std::string& arm) const;
  /// Seconds on the session's clock.
  double now() const;

  /// So much cost is to come in all, for the time that is left.
  void expect(double cost) { expected_ = cost; }
  /// Measures what the journal does not hold, some cells at a time, and returns all results in the
  /// order of the cells. `measure` is given the cell with the arm that plays it; the result has the
  /// arm that was asked for. The first exception ends it, once the cells under way are finished.
  std::vector<Result> measure(const std::vector<Cell>& cells, const Measure& measure);
  /// The same, one cell at a time with all threads: for times.
  std::vector<Result> measure_alone(const std::vector<Cell>& cells, const Measure& measure);

  /// How it was tried: one paragraph each, with the figures of this budget.
  void describe(std::vector<std::string> setup) { setup_ = std::move(setup); }
  void add(Chart chart) { charts_.push_back(std::move(chart)); }
  void add(DataTable table) { tables_.push_back(std::move(table)); }
  /// A network is like itself whatever the claim: with identical arms a check of equality
  /// (check_alike) is left unclear.
  void add(Check check);
  /// One sentence with the figures.
  void conclude(std::string summary) { summary_ = std::move(summary); }

  // What came of it.
  Verdict verdict() const { return verdict_of(checks_); }
  const std::vector<Check>& checks() const { return checks_; }
  const std::vector<Result>& results() const { return results_; }
  const std::string& summary() const { return summary_; }
  const std::vector<std::string>& setup() const { return setup_; }
  const std::vector<Chart>& charts() const { return charts_; }
  const std::vector<DataTable>& tables() const { return tables_; }

 private:
  Measurement obtain(const Cell& cell, const Measure& measure);
  void report(double cost, bool known);

  const Experiment& experiment_;
  Material material_;
  Journal& journal_;
  SessionOptions options_;
  std::map<std::string, std::string> aliases_;
  double expected_ = 0, done_ = 0, known_ = 0;
  std::mutex mutex_;  // of done_ and known_

  std::vector<std::string> setup_;
  std::vector<Result> results_;
  std::vector<Chart> charts_;
  std::vector<DataTable> tables_;
  std::vector<Check> checks_;
  std::string summary_;
};

/// Those of one arm, and of those, the ones at a point; in their order.
std::vector<const Result*> of_arm(const std::vector<Result>& results, const std::string& arm);
std::vector<const Result*> of_arm_at(const std::vector<Result>& results, const std::string& arm,
                                     const std::string& name, double value);
/// One value of each, in their order.
std::vector<double> values_of(const std::vector<const Result*>& results, const std::string& name);

}  // namespace evenkeel::lab
