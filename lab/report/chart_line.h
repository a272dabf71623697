// A chart as the page reads it: one JSON line (docs/report.md).
#pragma once

#include <string>
#include <vector>

namespace evenkeel::lab {

struct RunSeries {
  std::string name;
  int color = 0;  ///< of eight
  bool dash = false;
  std::vector<double> x, y;    ///< equally many; NaN is a gap
  std::vector<double> lo, hi;  ///< bands: as many, or none
};

/// A line chart of a run report.
struct RunChart {
  std::string section{};  ///< loss, accuracy, rate, statistics, activations, gradients or scales
  std::string title{}, note{};
  std::string x_label = "step";
  std::string y_label{}, y_unit{};
  bool headline = false;  ///< the widest of its section
  std::vector<RunSeries> series{};
};

/// Numbers that are not finite become null, and bytes that are not UTF-8 the replacement character.
std::string to_line(const RunChart& chart);

}  // namespace evenkeel::lab
