// The best learning rate of each arm: from the same grid, with the same number of steps.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab {

struct RateSearch {
  std::vector<std::string> arms;
  std::vector<double> rates;
  /// What the cells share beside the rate.
  std::vector<std::pair<std::string, double>> at = {};
  /// Seeds of the search, apart from those that are reported.
  std::vector<std::uint64_t> seeds = {101};
  double cost = 1;  ///< of one cell
  /// Of the table; for experiments that search more than once.
  std::string title = "Learning rates tried: accuracy on the held-back part";
};

/// Measures every arm at every rate (stage "tune") and returns the rate with the largest mean of
/// `validation` among the measured values; those that are not finite lose, of equal ones the lower
/// rate wins. A table of all goes to the session; it marks a rate at the end of the grid, beyond
/// which a better one may lie.
std::map<std::string, double> best_rates(Session& session, const RateSearch& search,
                                         const Measure& measure);

/// "0.3", or "3, the highest tried" where a better rate may lie beyond the grid.
std::string rate_text(double rate, const std::vector<double>& tried);

/// A cell of stage "final" for every arm and every seed of the session, each at its rate.
std::vector<Cell> final_cells(const Session& session, const std::vector<std::string>& arms,
                              const std::map<std::string, double>& rates, double cost = 1);

}  // namespace evenkeel::lab
