#include "lab/cell.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

Json numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(number(value));
  return list;
}

std::vector<double> numbers_from(const Json& list) {
  std::vector<double> values;
  for (const Json& value : list) values.push_back(number_from(value));
  return values;
}

}  // namespace

double Cell::where(const std::string& name) const {
  const auto found = std::ranges::find(at, name, &std::pair<std::string, double>::first);
  if (found == at.end()) fail<UsageError>("[lab] cell '{}' has no '{}'", key_of(*this), name);
  return found->second;
}

double Result::value(const std::string& name) const {
  const auto found = measurement.values.find(name);
  if (found == measurement.values.end()) {
    fail<UsageError>("[lab] cell '{}' has no value '{}'", key_of(cell), name);
  }
  return found->second;
}

const Series& Result::series(const std::string& name) const {
  const auto found = measurement.series.find(name);
  if (found == measurement.series.end()) {
    fail<UsageError>("[lab] cell '{}' has no series '{}'", key_of(cell), name);
  }
  return found->second;
}

std::string key_of(const Cell& cell) {
  std::string key = cell.stage + "|" + cell.arm + "|";
  for (std::size_t i = 0; i < cell.at.size(); ++i) {
    key += fmt::format("{}{}={}", i == 0 ? "" : ",", cell.at[i].first, cell.at[i].second);
  }
  return key + fmt::format("|{}", cell.seed);
}

std::string text_of(const Json& line) {
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double number_from(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json to_json(const std::string& experiment, const Result& result) {
  const Cell& cell = result.cell;
  Json at = Json::object();
  for (const auto& [name, value] : cell.at) at[name] = number(value);
  Json values = Json::object();
  for (const auto& [name, value] : result.measurement.values) values[name] = number(value);
  Json series = Json::object();
  for (const auto& [name, curve] : result.measurement.series) {
    series[name] = {{"x", numbers(curve.x)}, {"y", numbers(curve.y)}};
  }
  return {{"kind", "cell"},
          {"experiment", experiment},
          {"stage", cell.stage},
          {"arm", cell.arm},
          {"seed", cell.seed},
          {"at", at},
          {"values", values},
          {"series", series},
          {"seconds", number(result.measurement.seconds)}};
}

Result result_from_json(const Json& line) {
  Result result;
  result.cell.stage = line.at("stage").get<std::string>();
  result.cell.arm = line.at("arm").get<std::string>();
  result.cell.seed = line.at("seed").get<std::uint64_t>();
  for (const auto& [name, value] : line.at("at").items()) {
    result.cell.at.emplace_back(name, number_from(value));
  }
  for (const auto& [name, value] : line.at("values").items()) {
    result.measurement.values[name] = number_from(value);
  }
  for (const auto& [name, curve] : line.at("series").items()) {
    result.measurement.series[name] = {numbers_from(curve.at("x")), numbers_from(curve.at("y"))};
  }
  result.measurement.seconds = number_from(line.at("seconds"));
  return result;
}

}  // namespace evenkeel::lab
