// Measurements as tables and as JSON.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "grid.h"
#include "measurement.h"

namespace evenkeel::bench {

using Json = nlohmann::ordered_json;

/// Rows that belong together: one family, work, layout and number of threads.
struct TableGroup {
  std::string title;
  Grid grid;
};
/// Per row: the size, our time, each peer's, the copy's, the ratio to the best peer, the part of
/// the copy's bandwidth. Times are the minimum in ms and, in brackets, the median.
std::vector<TableGroup> tables_of(const std::vector<Measurement>& measurements);

/// Per group and batch size: the geometric means of ratio and part, the worst row, and the smallest
/// part of the copy's bandwidth among the sizes whose input and output exceed a cache of so many
/// bytes.
Grid summary_of(const std::vector<Measurement>& measurements, std::size_t cache);

/// "oneDNN 2.6.3, PyTorch 2.15.0"
std::string versions_in(const std::vector<Measurement>& measurements);

Json to_json(const Measurement& measurement);
Json to_json(const Entry& entry);

/// "0.123", three digits.
std::string milliseconds(double seconds);
std::string with_median(const Timing& timing);

}  // namespace evenkeel::bench
