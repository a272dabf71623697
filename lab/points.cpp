#include "lab/points.h"

#include <fmt/format.h>

#include "lab/rate_points.h"
#include "lab/rates.h"

namespace evenkeel::lab {
namespace {

/// By arm, then point.
std::vector<RatePoint> grid_of(const PointSearch& search) {
  std::vector<RatePoint> grid;
  for (const std::string& arm : search.arms) {
    for (const Point& point : search.points) {
      grid.push_back({.arm = arm, .at = point.at, .cost = point.cost});
    }
  }
  return grid;
}

DataTable table_of(const PointSearch& search, const std::vector<RatePoint>& grid) {
  DataTable table{
      .title = "Learning rates chosen, and the accuracy on the held-back part with them",
      .columns = {""}};
  for (const Point& point : search.points) table.columns.push_back(point.name);
  auto next = grid.begin();
  for (const std::string& arm : search.arms) {
    std::vector<std::string> row{arm};
    for (std::size_t i = 0; i < search.points.size(); ++i, ++next) {
      row.push_back(next->validation < 0
                        ? "-"
                        : fmt::format("{}: {:.1f} %", rate_text(next->rate, search.rates),
                                      100 * next->validation));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::vector<const Result*> PointResults::at(std::size_t arm, std::size_t point) const {
  std::vector<const Result*> found;
  for (std::size_t i = 0; i < seeds_; ++i) {
    found.push_back(&results_[(arm * points_ + point) * seeds_ + i]);
  }
  return found;
}

std::vector<double> PointResults::values(std::size_t arm, std::size_t point,
                                         const std::string& name) const {
  return values_of(at(arm, point), name);
}

double PointResults::rate(std::size_t arm, std::size_t point) const {
  return at(arm, point).front()->cell.where("rate");
}

PointResults measure_points(Session& session, const PointSearch& search, const Measure& measure) {
  std::vector<RatePoint> grid = grid_of(search);
  session.expect(cost_of(session, grid, search.rates.size()));
  find_rates(session, grid, search.rates, measure);
  session.add(table_of(search, grid));
  return {search.points.size(), static_cast<std::size_t>(session.seeds()),
          session.measure(final_cells(session, grid), measure)};
}

std::vector<double> points_between(std::span<const double> a, std::span<const double> b) {
  std::vector<double> points = differences(a, b);
  for (double& value : points) value *= 100;
  return points;
}

}  // namespace evenkeel::lab
