// A grid of arms and points, every arm at every point with the learning rate that suits it there.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lab/session.h"

namespace evenkeel::lab {

struct Point {
  std::string name;                                ///< as the table of rates shows it
  std::vector<std::pair<std::string, double>> at;  ///< what its cells have beside the rate
  double cost = 1;                                 ///< of one cell
};

struct PointSearch {
  std::vector<std::string> arms;
  std::vector<Point> points = {};
  std::vector<double> rates = {};
};

/// What every arm has at every point, by their numbers in the search.
class PointResults {
 public:
  PointResults(std::size_t points, std::size_t seeds, std::vector<Result> results)
      : points_(points), seeds_(seeds), results_(std::move(results)) {}

  /// Of all seeds, in their order.
  std::vector<const Result*> at(std::size_t arm, std::size_t point) const;
  std::vector<double> values(std::size_t arm, std::size_t point, const std::string& name) const;
  double rate(std::size_t arm, std::size_t point) const;

 private:
  std::size_t points_, seeds_;
  std::vector<Result> results_;  ///< by arm, then point, then seed
};

/// find_rates() (rate_points.h) for every arm at every point, then all seeds of the session. Tells
/// the session what that costs; a table of the rates goes to it.
PointResults measure_points(Session& session, const PointSearch& search, const Measure& measure);

/// 100·(a[i] − b[i]): percentage points between shares of 1.
std::vector<double> points_between(std::span<const double> a, std::span<const double> b);

}  // namespace evenkeel::lab
