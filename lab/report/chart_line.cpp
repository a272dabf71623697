#include "lab/report/chart_line.h"

#include <nlohmann/json.hpp>

namespace evenkeel::lab {

using Json = nlohmann::ordered_json;  // which writes null for numbers that are not finite

std::string to_line(const RunChart& chart) {
  Json series = Json::array();
  for (const RunSeries& one : chart.series) {
    Json entry{
        {"name", one.name}, {"color", one.color}, {"dash", one.dash}, {"x", one.x}, {"y", one.y}};
    if (!one.lo.empty()) {
      entry["lo"] = one.lo;
      entry["hi"] = one.hi;
    }
    series.push_back(std::move(entry));
  }
  const Json line{{"kind", "chart"},
                  {"section", chart.section},
                  {"title", chart.title},
                  {"note", chart.note},
                  {"type", "line"},
                  {"headline", chart.headline},
                  {"x", {{"label", chart.x_label}, {"scale", "linear"}}},
                  {"y", {{"label", chart.y_label}, {"unit", chart.y_unit}, {"scale", "linear"}}},
                  {"series", series}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace evenkeel::lab
