// What the runs at multiples of the baseline's learning rate say: checks, pictures, tables.
#pragma once

#include <string>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab::learning_rates {

inline const std::string kWith = "with batch norm";
inline const std::string kWithout = "without";

/// The accuracy that counts as done, for each seed its own, and how many steps a run has.
struct Goal {
  std::vector<double> accuracy;
  double end;
};

/// One line of the charts: an arm, an activation and a multiple, with the results of all seeds.
struct Variant {
  std::string arm;
  bool sigmoid = false;
  double multiple = 1;
  std::vector<const Result*> results = {};

  std::string name() const;
  std::vector<double> best() const { return values_of(results, "best"); }
  /// On the held-back part at the end of the run, the mean over the seeds.
  double held_back() const { return mean_of(values_of(results, "held_back")); }
  /// Seed by seed. Runs that never get there count with all of their steps.
  std::vector<double> steps_to(const Goal& goal) const;
  std::size_t that_reach(const Goal& goal) const;
};

const Variant& variant(const std::vector<Variant>& variants, const std::string& arm, bool sigmoid,
                       double multiple);

/// The best accuracies, seed by seed, of the arm that is worse at it, with ReLU, each at the
/// multiple that suits it best.
std::vector<double> best_of_the_weaker(const std::vector<Variant>& variants);

/// Checks, charts, a table and the conclusion. Both arms have the multiples 1, 5 and 30 with ReLU.
void add_findings(Session& session, const std::vector<Variant>& variants, const Goal& goal);

}  // namespace evenkeel::lab::learning_rates
