// Pictures and tables of an experiment, as data: the page draws what these lines say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lab/cell.h"
#include "lab/statistics.h"

namespace evenkeel::lab {

enum class ChartType : std::uint8_t { line, bar, scatter };
enum class Scale : std::uint8_t { linear, log, category };

struct Axis {
  std::string label;
  std::string unit = {};  ///< "%", "s"; empty where there is none
  Scale scale = Scale::linear;
  std::vector<std::string> categories = {};  ///< of Scale::category, where x counts them from 0
};

struct ChartSeries {
  std::string name;
  std::vector<double> x, y;
  std::vector<double> lo = {}, hi = {};  ///< empty, or the bounds of y: bands or whiskers
  bool dash = false;
  std::optional<int> color = std::nullopt;  ///< of the palette; empty: the next one
};

struct Chart {
  std::string id;  ///< unique in the experiment
  std::string title;
  std::string note = {};
  ChartType type = ChartType::line;
  Axis x, y;
  bool headline = false;  ///< the picture of the first screen
  std::vector<ChartSeries> series = {};
};

/// Cells are shown as they are.
struct DataTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows = {};
};

/// Lines of kinds "chart", "table" and "check" (docs/lab.md).
Json to_json(const std::string& experiment, const Chart& chart);
Json to_json(const std::string& experiment, const DataTable& table);
Json to_json(const std::string& experiment, const Check& check);

/// The mean over the results' curves of one name, with its 95 % interval, at the x of the first; y
/// is multiplied by `scale`. Curves that ended early (a run that diverged) leave null behind their
/// end.
ChartSeries mean_curve(const std::string& name, const std::vector<const Result*>& results,
                       const std::string& series, double scale = 1);
/// One point: the mean over the results' values, with its interval.
void add_point(ChartSeries& series, double x, const std::vector<double>& values, double scale = 1);

/// "96.4 % (95.9 to 96.8)" for shares of 1; "12.3 (11.0 to 13.6)" with three digits otherwise.
std::string percent_text(const Interval& interval);
std::string interval_text(const Interval& interval);
/// Three significant digits, without a needless exponent: "0.0312", "1,230", "4.5e-08"; "-" for
/// what is not finite.
std::string short_text(double value);

}  // namespace evenkeel::lab
