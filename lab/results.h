// The lines of results.jsonl, of experiments that were run now and of those finished earlier.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lab/cell.h"

namespace evenkeel::lab {

/// The lines of each finished experiment.
class Results {
 public:
  /// Takes what a lab finished in this file earlier, if its first line agrees with `head` in what
  /// makes it the same lab: version, budget, data, seeds, arms and kernels. Experiments with lines
  /// that do not read are left out, and measured or drawn again where they are asked for.
  void take_earlier(const std::filesystem::path& path, const Json& head);
  /// In place of those that there were.
  void put(const std::string& experiment, std::vector<std::string> lines);

  bool has(const std::string& experiment) const { return groups_.count(experiment) > 0; }
  /// In the order of the report.
  std::vector<std::string> names() const;
  /// `head`, then experiment by experiment, in the order of the report.
  std::vector<std::string> lines(const Json& head) const;

 private:
  std::map<std::string, std::vector<std::string>> groups_;
};

}  // namespace evenkeel::lab
