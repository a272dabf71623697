// The smallest thing that the lab measures: one arm at one point with one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace evenkeel::lab {

using Json = nlohmann::ordered_json;

/// A curve: y over x.
struct Series {
  std::vector<double> x, y;
};

struct Cell {
  std::string stage = "final";  ///< "tune": it chose a learning rate, and is not reported
  std::string arm;
  std::vector<std::pair<std::string, double>>
      at;  ///< where the arm stands: rate, batch size, depth
  std::uint64_t seed = 1;
  double cost = 1;  ///< relative to the other cells of the experiment, for the time that is left

  /// The value of `at` called `name`. UsageError without it.
  double where(const std::string& name) const;
};

/// What came out of a cell. Values that are not finite are kept as null.
struct Measurement {
  std::map<std::string, double> values;
  std::map<std::string, Series> series;
  double seconds = 0;  ///< that it took; filled in by the session
};

/// Measures a cell; called on any thread, so it depends on the cell alone.
using Measure = std::function<Measurement(const Cell&)>;

struct Result {
  Cell cell;
  Measurement measurement;

  /// UsageError for a name that was not measured.
  double value(const std::string& name) const;
  const Series& series(const std::string& name) const;
};

/// What tells a cell from the others of an experiment: "final|batch norm|rate=0.1|3".
std::string key_of(const Cell& cell);

/// A line of kind "cell" (docs/lab.md) and back. from_json throws what the JSON library does for
/// one that is not.
Json to_json(const std::string& experiment, const Result& result);
Result result_from_json(const Json& line);
/// On one line; bytes that are not UTF-8 become the replacement character.
std::string text_of(const Json& line);
/// A number, or null where it is not finite; and back, NaN for null.
Json number(double value);
double number_from(const Json& value);

}  // namespace evenkeel::lab
