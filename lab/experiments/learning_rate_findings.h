// What the runs at multiples of the baseline's learning rate say: checks, pictures, tables.
#pragma once

#include <string>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab::learning_rates {

inline const std::string kWith = "with batch norm";
inline const std::string kWithout = "without";

/// What counts as done, and how many steps a run has.
struct Goal {
  double accuracy, end;
};

/// One line of the charts: an arm, an activation and a multiple, with the results of all seeds.
struct Variant {
  std::string arm;
  bool sigmoid = false;
  double multiple = 1;
  std::vector<const Result*> results = {};

  std::string name() const;
  std::vector<double> best() const { return values_of(results, "best"); }
  /// Runs that never get there count with all of their steps.
  std::vector<double> steps_to(const Goal& goal) const;
};

const Variant& variant(const std::vector<Variant>& variants, const std::string& arm, bool sigmoid,
                       double multiple);

/// The best accuracy of the arm that is worse at it, with ReLU, each at the multiple that suits it
/// best.
double best_of_the_weaker(const std::vector<Variant>& variants);

/// Checks, charts, a table and the conclusion. Both arms have the multiples 1, 5 and 30 with ReLU.
void add_findings(Session& session, const std::vector<Variant>& variants, const Goal& goal);

}  // namespace evenkeel::lab::learning_rates
