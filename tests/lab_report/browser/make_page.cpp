// make_report_page LINES PAGE: a page of a file of JSON lines, for the browser's tests. Cells,
// charts, tables and checks are first written anew by the lab, from what the lines say, and LINES
// with them: what the browser gets has the lab's own fields. Of a check the file says how it is
// judged and the values of its seeds.

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include <lab/chart.h>
#include <lab/report/page.h>

namespace evenkeel::lab {
namespace {

std::string text(const Json& line, const char* key) { return line.value(key, std::string()); }

std::vector<double> numbers(const Json& list) {
  std::vector<double> values;
  for (const Json& value : list) values.push_back(number_from(value));
  return values;
}

Check check_of(const Json& line) {
  const std::vector<double> values = numbers(line.at("values"));
  const double margin = line.at("margin").get<double>();
  const std::string what = text(line, "text"), quantity = text(line, "quantity");
  const std::string judge = text(line, "judge");
  if (judge == name_of(Judge::difference)) return check_difference(what, quantity, values, margin);
  const std::vector<double> logs = log_ratios(values, std::vector<double>(values.size(), 1.0));
  return judge == name_of(Judge::alike) ? check_alike(what, quantity, logs, margin)
                                        : check_ratio(what, quantity, logs, margin);
}

Axis axis_of(const Json& json) {
  const std::string scale = text(json, "scale");
  return {.label = text(json, "label"),
          .unit = text(json, "unit"),
          .scale = scale == "log"        ? Scale::log
                   : scale == "category" ? Scale::category
                                         : Scale::linear,
          .categories = json.value("categories", std::vector<std::string>())};
}

Chart chart_of(const Json& line) {
  const std::string type = text(line, "type");
  Chart chart{.id = text(line, "id"),
              .title = text(line, "title"),
              .note = text(line, "note"),
              .type = type == "bar"       ? ChartType::bar
                      : type == "scatter" ? ChartType::scatter
                                          : ChartType::line,
              .x = axis_of(line.at("x")),
              .y = axis_of(line.at("y")),
              .headline = line.at("headline").get<bool>()};
  for (const Json& one : line.at("series")) {
    chart.series.push_back({.name = text(one, "name"),
                            .x = numbers(one.at("x")),
                            .y = numbers(one.at("y")),
                            .lo = numbers(one.value("lo", Json::array())),
                            .hi = numbers(one.value("hi", Json::array())),
                            .dash = one.at("dash").get<bool>(),
                            .color = one.at("color").get<int>()});
  }
  return chart;
}

DataTable table_of(const Json& line) {
  return {.title = text(line, "title"),
          .columns = line.at("columns").get<std::vector<std::string>>(),
          .rows = line.at("rows").get<std::vector<std::vector<std::string>>>()};
}

std::string written_by_the_lab(const std::string& given) {
  const Json line = Json::parse(given);
  const std::string kind = text(line, "kind"), experiment = text(line, "experiment");
  if (kind == "cell") return text_of(to_json(experiment, result_from_json(line)));
  if (kind == "chart") return text_of(to_json(experiment, chart_of(line)));
  if (kind == "table") return text_of(to_json(experiment, table_of(line)));
  if (kind == "check") return text_of(to_json(experiment, check_of(line)));
  return given;
}

void make(const char* lines_path, const char* page_path) {
  std::vector<std::string> lines;
  {
    std::ifstream in(lines_path, std::ios::binary);
    for (std::string line; std::getline(in, line);) lines.push_back(written_by_the_lab(line));
  }
  std::ofstream out(lines_path, std::ios::binary);
  for (const std::string& line : lines) out << line << '\n';
  write_page(page_path, lines, {.title = "a lab"});
}

}  // namespace
}  // namespace evenkeel::lab

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    evenkeel::lab::make(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
