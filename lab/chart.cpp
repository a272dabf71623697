#include "lab/chart.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace evenkeel::lab {
namespace {

std::string_view name_of(ChartType type) {
  switch (type) {
    case ChartType::bar:
      return "bar";
    case ChartType::scatter:
      return "scatter";
    case ChartType::line:
      break;
  }
  return "line";
}

std::string_view name_of(Scale scale) {
  switch (scale) {
    case Scale::log:
      return "log";
    case Scale::category:
      return "category";
    case Scale::linear:
      break;
  }
  return "linear";
}

Json axis_json(const Axis& axis) {
  Json json{{"label", axis.label}, {"scale", name_of(axis.scale)}};
  if (!axis.unit.empty()) json["unit"] = axis.unit;
  if (axis.scale == Scale::category) json["categories"] = axis.categories;
  return json;
}

Json numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(number(value));
  return list;
}

}  // namespace

Json to_json(const std::string& experiment, const Chart& chart) {
  Json series = Json::array();
  int next = 0;
  for (const ChartSeries& one : chart.series) {
    Json json{{"name", one.name},
              {"color", one.color.value_or(next)},
              {"dash", one.dash},
              {"x", numbers(one.x)},
              {"y", numbers(one.y)}};
    if (!one.lo.empty()) {
      json["lo"] = numbers(one.lo);
      json["hi"] = numbers(one.hi);
    }
    series.push_back(std::move(json));
    ++next;
  }
  return {{"kind", "chart"},
          {"experiment", experiment},
          {"id", chart.id},
          {"title", chart.title},
          {"note", chart.note},
          {"type", name_of(chart.type)},
          {"headline", chart.headline},
          {"x", axis_json(chart.x)},
          {"y", axis_json(chart.y)},
          {"series", std::move(series)}};
}

Json to_json(const std::string& experiment, const DataTable& table) {
  return {{"kind", "table"},
          {"experiment", experiment},
          {"title", table.title},
          {"columns", table.columns},
          {"rows", table.rows}};
}

Json to_json(const std::string& experiment, const Check& check) {
  return {{"kind", "check"},
          {"experiment", experiment},
          {"text", check.text},
          {"quantity", check.quantity},
          {"mean", number(check.interval.mean)},
          {"lo", number(check.interval.lo)},
          {"hi", number(check.interval.hi)},
          {"n", check.interval.n},
          {"judge", lab::name_of(check.judge)},
          {"neutral", check.neutral()},
          {"margin", check.margin},
          {"needed", numbers({check.needed().first, check.needed().second})},
          {"outcome", lab::name_of(check.outcome)}};
}

void add_point(ChartSeries& series, double x, const std::vector<double>& values, double scale) {
  const Interval interval = interval_of(values);
  series.x.push_back(x);
  series.y.push_back(interval.mean * scale);
  series.lo.push_back(interval.lo * scale);
  series.hi.push_back(interval.hi * scale);
}

ChartSeries mean_curve(const std::string& name, const std::vector<const Result*>& results,
                       const std::string& series, double scale) {
  ChartSeries curve;
  curve.name = name;
  const Series* longest = nullptr;
  for (const Result* result : results) {
    const Series& one = result->series(series);
    if (longest == nullptr || one.x.size() > longest->x.size()) longest = &one;
  }
  for (std::size_t i = 0; longest != nullptr && i < longest->x.size(); ++i) {
    std::vector<double> values;
    for (const Result* result : results) {
      const Series& one = result->series(series);
      values.push_back(i < one.y.size() ? one.y[i] : std::nan(""));
    }
    add_point(curve, longest->x[i], values, scale);
  }
  return curve;
}

std::string short_text(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-4 || size >= 1e7)) return fmt::format("{:.1e}", value);
  if (size >= 1000) {
    std::string digits = fmt::format("{:.0f}", value);
    for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0);
         at -= 3) {
      digits.insert(static_cast<std::size_t>(at), ",");
    }
    return digits;
  }
  const int magnitude = size == 0 ? 0 : static_cast<int>(std::floor(std::log10(size)));
  return fmt::format("{:.{}f}", value, std::clamp(2 - magnitude, 0, 6));
}

std::string percent_text(const Interval& interval) {
  return fmt::format("{:.1f} % ({:.1f} to {:.1f})", interval.mean * 100, interval.lo * 100,
                     interval.hi * 100);
}

std::string interval_text(const Interval& interval) {
  return fmt::format("{} ({} to {})", short_text(interval.mean), short_text(interval.lo),
                     short_text(interval.hi));
}

}  // namespace evenkeel::lab
