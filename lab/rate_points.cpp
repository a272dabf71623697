#include "lab/rate_points.h"

#include <algorithm>
#include <cmath>

namespace evenkeel::lab {
namespace {

constexpr std::uint64_t kTuningSeed = 101;

Cell cell_of(const RatePoint& point, const std::string& stage, double rate, std::uint64_t seed) {
  Cell cell{.stage = stage, .arm = point.arm, .at = point.at, .seed = seed, .cost = point.cost};
  cell.at.emplace_back("rate", rate);
  return cell;
}

}  // namespace

void find_rates(Session& session, std::vector<RatePoint>& points, const std::vector<double>& rates,
                const Measure& measure, std::uint64_t seeds) {
  std::vector<Cell> cells;
  for (const RatePoint& point : points) {
    for (const double rate : rates) {
      for (std::uint64_t i = 0; i < seeds; ++i) {
        cells.push_back(cell_of(point, "tune", rate, kTuningSeed + i));
      }
    }
  }
  const std::vector<Result> results = session.measure(cells, measure);
  std::size_t next = 0;
  for (RatePoint& point : points) {
    double highest = -2;
    for (const double rate : rates) {
      std::vector<double> measured;
      for (std::uint64_t i = 0; i < seeds; ++i) {
        measured.push_back(results[next++].value("validation"));
      }
      const double mean = mean_of(measured);
      const double score = std::isfinite(mean) ? mean : -1;
      if (score > highest) {
        highest = score;
        point.rate = rate;
        point.validation = score;
      }
    }
  }
}

std::vector<Cell> final_cells(const Session& session, const std::vector<RatePoint>& points) {
  std::vector<Cell> cells;
  for (const RatePoint& point : points) {
    for (const std::uint64_t seed : session.seed_list()) {
      cells.push_back(cell_of(point, "final", point.rate, seed));
    }
  }
  return cells;
}

double cost_of(const Session& session, const std::vector<RatePoint>& points, std::size_t runs) {
  double cost = 0;
  for (const RatePoint& point : points) {
    cost += point.cost * (static_cast<double>(runs) + session.seeds());
  }
  return cost;
}

std::vector<const Result*> at_point(const std::vector<Result>& results, const std::string& arm,
                                    const std::vector<std::pair<std::string, double>>& at) {
  std::vector<const Result*> found;
  for (const Result* result : of_arm(results, arm)) {
    const bool there = std::ranges::all_of(
        at, [&](const auto& one) { return result->cell.where(one.first) == one.second; });
    if (there) found.push_back(result);
  }
  return found;
}

}  // namespace evenkeel::lab
