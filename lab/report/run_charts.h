// Training runs as lines for the page.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <lab/report/run_metrics.h>

namespace evenkeel::lab {

/// The lines of a report on these runs: what it is, the runs, their charts. Where it makes sense,
/// runs stand side by side in one chart; what belongs to layers is drawn run by run. A chart
/// without values is left out.
std::vector<std::string> report_lines(std::span<const RunMetrics> runs, const std::string& version,
                                      const std::string& command);

}  // namespace evenkeel::lab
