#include "lab/rates.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace evenkeel::lab {
namespace {

/// The mean of `validation`, below everything where a run was not finite.
double score_of(const std::vector<const Result*>& results) {
  const double mean = mean_of(values_of(results, "validation"));
  return std::isfinite(mean) ? mean : -1;
}

DataTable table_of(const RateSearch& search, const std::vector<Result>& results,
                   const std::map<std::string, double>& best) {
  DataTable table{.title = search.title, .columns = {""}};
  for (const double rate : search.rates) table.columns.push_back(fmt::format("{:g}", rate));
  table.columns.emplace_back("chosen");
  for (const std::string& arm : search.arms) {
    std::vector<std::string> row{arm};
    for (const double rate : search.rates) {
      const double score = score_of(of_arm_at(results, arm, "rate", rate));
      row.push_back(score < 0 ? "-" : fmt::format("{:.1f} %", 100 * score));
    }
    row.push_back(rate_text(best.at(arm), search.rates));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::map<std::string, double> best_rates(Session& session, const RateSearch& search,
                                         const Measure& measure) {
  std::vector<Cell> cells;
  for (const std::string& arm : search.arms) {
    for (const double rate : search.rates) {
      for (const std::uint64_t seed : search.seeds) {
        Cell cell{.stage = "tune", .arm = arm, .at = search.at, .seed = seed, .cost = search.cost};
        cell.at.emplace_back("rate", rate);
        cells.push_back(std::move(cell));
      }
    }
  }
  const std::vector<Result> results = session.measure(cells, measure);
  std::map<std::string, double> best;
  for (const std::string& arm : search.arms) {
    double highest = -2;
    for (const double rate : search.rates) {
      const double score = score_of(of_arm_at(results, arm, "rate", rate));
      if (score > highest) {
        highest = score;
        best[arm] = rate;
      }
    }
  }
  session.add(table_of(search, results, best));
  return best;
}

std::string rate_text(double rate, const std::vector<double>& tried) {
  const auto [lowest, highest] = std::ranges::minmax(tried);
  const std::string text = fmt::format("{:g}", rate);
  if (lowest == highest) return text;
  if (rate == highest) return text + ", the highest tried";
  if (rate == lowest) return text + ", the lowest tried";
  return text;
}

std::vector<Cell> final_cells(const Session& session, const std::vector<std::string>& arms,
                              const std::map<std::string, double>& rates, double cost) {
  std::vector<Cell> cells;
  for (const std::string& arm : arms) {
    for (const std::uint64_t seed : session.seed_list()) {
      cells.push_back({.arm = arm, .at = {{"rate", rates.at(arm)}}, .seed = seed, .cost = cost});
    }
  }
  return cells;
}

}  // namespace evenkeel::lab
