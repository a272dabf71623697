// The best learning rate where it may differ from point to point, not only from arm to arm.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab {

/// An arm at a batch size, a depth, a share of dropout.
struct RatePoint {
  std::string arm;
  std::vector<std::pair<std::string, double>> at;
  double cost = 1;        ///< of one cell there
  double rate = 0;        ///< found by find_rates()
  double validation = 0;  ///< accuracy on the held-back part with that rate
};

/// Measures every point at every rate (stage "tune", with so many seeds apart from those reported)
/// and writes into each point the rate with the largest mean of `validation`, and that; values that
/// are not finite lose, of equal ones the lower rate wins.
void find_rates(Session& session, std::vector<RatePoint>& points, const std::vector<double>& rates,
                const Measure& measure, std::uint64_t seeds = 1);

/// A cell of stage "final" for every point and every seed of the session, at the point's rate.
std::vector<Cell> final_cells(const Session& session, const std::vector<RatePoint>& points);

/// What find_rates() and final_cells() cost together, for Session::expect(), with so many runs to
/// find a rate.
double cost_of(const Session& session, const std::vector<RatePoint>& points, std::size_t runs);

/// Those of an arm at a point, whatever else is said of them; in their order.
std::vector<const Result*> at_point(const std::vector<Result>& results, const std::string& arm,
                                    const std::vector<std::pair<std::string, double>>& at);

}  // namespace evenkeel::lab
