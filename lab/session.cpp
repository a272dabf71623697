#include "lab/session.h"

#include <chrono>
#include <optional>

#include <evenkeel/core/error.h>
#include <evenkeel/train/sweep.h>

namespace evenkeel::lab {
namespace {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Session::Session(const Experiment& experiment, Material material, Journal& journal,
                 SessionOptions options)
    : experiment_(experiment),
      material_(std::move(material)),
      journal_(journal),
      options_(std::move(options)) {
  if (!options_.clock) options_.clock = steady_seconds;
  if (options_.arms == Arms::swapped) {
    aliases_[experiment.contrast.treatment] = experiment.contrast.control;
    aliases_[experiment.contrast.control] = experiment.contrast.treatment;
  }
}

std::vector<std::uint64_t> Session::seed_list() const {
  std::vector<std::uint64_t> seeds;
  for (int i = 1; i <= options_.seeds; ++i) seeds.push_back(static_cast<std::uint64_t>(i));
  return seeds;
}

const std::string& Session::played_by(const std::string& arm) const {
  if (options_.arms == Arms::identical) return experiment_.contrast.control;
  const auto found = aliases_.find(arm);
  return found == aliases_.end() ? arm : found->second;
}

double Session::now() const { return options_.clock(); }

Measurement Session::obtain(const Cell& cell, const Measure& measure) {
  if (auto known = journal_.find(experiment_.name, cell)) {
    report(cell.cost, true);
    return *known;
  }
  Cell played = cell;
  played.arm = played_by(cell.arm);
  const double start = steady_seconds();
  Measurement measurement = options_.plant ? options_.plant(played, measure) : measure(played);
  measurement.seconds = steady_seconds() - start;
  journal_.add(experiment_.name, {cell, measurement});
  report(cell.cost, false);
  return measurement;
}

void Session::add(Check check) {
  if (options_.arms == Arms::identical && check.judge == Judge::alike) {
    check.outcome = Outcome::unclear;
  }
  checks_.push_back(std::move(check));
}

void Session::report(double cost, bool known) {
  CellProgress progress;
  {
    const std::scoped_lock lock(mutex_);
    done_ += cost;
    if (known) known_ += cost;
    progress = {.done = done_, .known = known_, .expected = expected_};
  }
  if (options_.progress) options_.progress(progress);
}

std::vector<Result> Session::measure(const std::vector<Cell>& cells, const Measure& measure) {
  std::vector<std::optional<Measurement>> found(cells.size());
  train::sweep(static_cast<std::int64_t>(cells.size()), options_.jobs, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    found[at] = obtain(cells[at], measure);
  });
  std::vector<Result> results;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    results.push_back({cells[i], std::move(*found[i])});
  }
  results_.insert(results_.end(), results.begin(), results.end());
  return results;
}

std::vector<Result> Session::measure_alone(const std::vector<Cell>& cells, const Measure& measure) {
  std::vector<Result> results;
  for (const Cell& cell : cells) results.push_back({cell, obtain(cell, measure)});
  results_.insert(results_.end(), results.begin(), results.end());
  return results;
}

std::vector<const Result*> of_arm(const std::vector<Result>& results, const std::string& arm) {
  std::vector<const Result*> found;
  for (const Result& result : results) {
    if (result.cell.arm == arm) found.push_back(&result);
  }
  return found;
}

std::vector<const Result*> of_arm_at(const std::vector<Result>& results, const std::string& arm,
                                     const std::string& name, double value) {
  std::vector<const Result*> found;
  for (const Result* result : of_arm(results, arm)) {
    if (result->cell.where(name) == value) found.push_back(result);
  }
  return found;
}

std::vector<double> values_of(const std::vector<const Result*>& results, const std::string& name) {
  std::vector<double> values;
  for (const Result* result : results) values.push_back(result->value(name));
  return values;
}

}  // namespace evenkeel::lab
