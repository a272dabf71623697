// Run folders as lines for the page: what is drawn, and what damaged files do.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>
#include <lab/report/page.h>
#include <lab/report/run_charts.h>
#include <nlohmann/json.hpp>

#include "io/io_testing.h"
#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

using io::testing::contains;
using Json = nlohmann::json;

class Runs : public ::testing::Test {
 protected:
  /// A run folder with these metrics.
  std::filesystem::path run(const std::string& metrics, const std::string& name = "a run") {
    std::filesystem::create_directories(folder_ / name);
    io::testing::write_bytes(folder_ / name / "config.toml", "net = \"mlp\"\n");
    io::testing::write_bytes(folder_ / name / "metrics.jsonl", metrics);
    return folder_ / name;
  }

  RunMetrics read(const std::string& metrics) { return read_metrics(run(metrics)); }

  std::string fault(const std::string& metrics) {
    const std::filesystem::path path = run(metrics);
    return io::testing::message_of([&] { read_metrics(path); });
  }

  io::testing::TempFolder folder_;
};

std::vector<Json> parsed(const std::vector<std::string>& lines) {
  std::vector<Json> result;
  for (const std::string& line : lines) result.push_back(Json::parse(line));
  return result;
}

std::vector<Json> report_on(const std::vector<RunMetrics>& runs) {
  return parsed(report_lines(runs, "0.1.0", "evenkeel report x"));
}

std::vector<std::string> titles_in(const std::vector<Json>& lines, const std::string& section) {
  std::vector<std::string> titles;
  for (const Json& line : lines) {
    if (line["kind"] == "chart" && line["section"] == section) titles.push_back(line["title"]);
  }
  return titles;
}

const Json& chart_named(const std::vector<Json>& lines, const std::string& title) {
  static const Json none;
  for (const Json& line : lines) {
    if (line["kind"] == "chart" && line["title"] == title) return line;
  }
  ADD_FAILURE() << "no chart '" << title << "'";
  return none;
}

constexpr const char* kRun =
    R"({"kind":"run","net":"mlp","data":"glyphs","norm":"batch","lr":0.1,"parameters":235146,"seed":1})"
    "\n";
constexpr const char* kEpochs =
    R"({"kind":"epoch","step":140,"loss":0.5,"accuracy":0.8,"lr":0.1,"validation_loss":0.6,"validation_accuracy":0.75})"
    "\n"
    R"({"kind":"epoch","step":280,"loss":null,"accuracy":0.9,"lr":0.1,"validation_loss":0.4,"validation_accuracy":0.85})"
    "\n";
constexpr const char* kEnd =
    R"({"kind":"end","steps":280,"seconds":1.25,"skipped":0,"signal":0,"test_loss":0.31,"test_accuracy":0.8765})"
    "\n";

std::ptrdiff_t facts_named(const RunMetrics& metrics, const std::string& name) {
  return std::ranges::count_if(metrics.facts, [&](const auto& fact) { return fact.first == name; });
}

std::string probe(int step, int norms = 2) {
  Json line{{"kind", "probe"}, {"step", step}};
  for (int i = 0; i < norms; ++i) {
    line["gradients"][std::to_string(i) + ".weight"] = 3.0;
    line["gradients"][std::to_string(i) + ".bias"] = 4.0;
    line["weights"][std::to_string(i) + ".weight"] = 5.0;
    Json& norm = line["norms"][std::to_string(i)];
    for (const char* key : {"mean_gap", "std_ratio", "gamma", "beta", "input", "output"}) {
      norm[key] = {step - 0.5, step, step + 0.5};
    }
  }
  return line.dump() + "\n";
}

TEST_F(Runs, FactsAreReadyToShow) {
  const RunMetrics metrics = read(std::string(kRun) + kEpochs + kEnd);
  const std::map<std::string, std::string> facts(metrics.facts.begin(), metrics.facts.end());
  EXPECT_EQ(facts.at("network"), "mlp");
  EXPECT_EQ(facts.at("parameters"), "235,146");
  EXPECT_EQ(facts.at("learning rate"), "0.1");
  EXPECT_EQ(facts.at("test accuracy"), "87.65 %");
  EXPECT_EQ(facts.count("skipped steps"), 0U);
  EXPECT_EQ(facts.count("finished"), 0U);
  EXPECT_TRUE(metrics.notes.empty());
}

TEST_F(Runs, AnUnfinishedRunSaysSoAndAResumedOneHasOneEnd) {
  EXPECT_EQ(read(kRun).facts.back(), (std::pair<std::string, std::string>{"finished", "no"}));
  const std::string stopped = R"({"kind":"end","steps":70,"signal":2})"
                              "\n";
  const std::string resume = R"({"kind":"resume","step":70})"
                             "\n";
  EXPECT_EQ(read(kRun + stopped + resume).facts.back().first, "finished");
  const RunMetrics whole = read(kRun + stopped + resume + kEnd);
  EXPECT_EQ(facts_named(whole, "steps"), 1);
  EXPECT_EQ(facts_named(whole, "stopped by signal"), 0);
}

TEST_F(Runs, LossAndAccuracyOfSeveralRunsShareCharts) {
  std::vector<RunMetrics> runs{read(std::string(kRun) + kEpochs),
                               read(std::string(kRun) + kEpochs)};
  runs[0].name = "with";
  runs[1].name = "without";
  const std::vector<Json> lines = report_on(runs);
  EXPECT_EQ(lines[0]["kind"], "report");
  EXPECT_EQ(lines[1]["name"], "with");
  const Json& loss = chart_named(lines, "Loss, epoch by epoch");
  ASSERT_EQ(loss["series"].size(), 4U);
  EXPECT_EQ(loss["series"][0]["name"], "with, training");
  EXPECT_EQ(loss["series"][3]["name"], "without, validation");
  EXPECT_EQ(loss["series"][2]["color"], loss["series"][3]["color"]);
  EXPECT_EQ(loss["series"][3]["dash"], true);
  EXPECT_EQ(loss["series"][0]["y"], Json::parse("[0.5, null]"));
  EXPECT_EQ(chart_named(lines, "Accuracy, epoch by epoch")["series"][1]["y"],
            Json::parse("[75.0, 85.0]"));
}

TEST_F(Runs, ProbesGiveStatisticsActivationsGradientsAndScales) {
  const std::vector<Json> lines = report_on({read(kRun + probe(20) + probe(40))});
  EXPECT_EQ(titles_in(lines, "statistics").size(), 2U);
  EXPECT_EQ(titles_in(lines, "activations").size(), 2U);
  EXPECT_EQ(titles_in(lines, "scales").size(), 2U);
  const Json& gap = chart_named(lines, "Distance of the means");
  ASSERT_EQ(gap["series"].size(), 2U);
  EXPECT_EQ(gap["series"][0],
            Json::parse(R"({"name":"0","color":0,"dash":false,"x":[20.0,40.0],"y":[20.0,40.0],
                                              "lo":[19.5,39.5],"hi":[20.5,40.5]})"));
  // The root of the sum of squares: two weights of 3 and two biases of 4.
  const Json& total = chart_named(lines, "Norm of the gradient, all parameters");
  EXPECT_DOUBLE_EQ(total["series"][0]["y"][1].get<double>(), std::sqrt(2 * 9.0 + 2 * 16.0));
  EXPECT_EQ(chart_named(lines, "Norm of the gradient by weight")["series"].size(), 2U);
}

TEST_F(Runs, ARunWithoutSingleStepsHasTheRatesOfItsEpochs) {
  const Json rate = chart_named(report_on({read(std::string(kRun) + kEpochs)}), "Learning rate");
  EXPECT_EQ(rate["series"][0]["x"], Json::parse("[140.0, 280.0]"));
  EXPECT_EQ(rate["series"][0]["y"], Json::parse("[0.1, 0.1]"));
}

TEST_F(Runs, WithoutProbesTheirSectionsAreLeftOut) {
  const std::vector<Json> lines = report_on({read(std::string(kRun) + kEpochs + kEnd)});
  for (const char* section : {"statistics", "activations", "gradients", "scales"}) {
    EXPECT_TRUE(titles_in(lines, section).empty()) << section;
  }
}

TEST_F(Runs, OfManyLayersSixAreDrawnAndTheNoteSaysSo) {
  const Json gamma = chart_named(report_on({read(kRun + probe(20, 19))}), "γ over the channels");
  ASSERT_EQ(gamma["series"].size(), 6U);
  EXPECT_EQ(gamma["series"][0]["name"], "0");
  EXPECT_EQ(gamma["series"][5]["name"], "9");  // the last by the order in the file
  EXPECT_TRUE(contains(gamma["note"].get<std::string>(), "6 of 19 batch norms"));
}

TEST_F(Runs, ManyStepsAreThinnedToMeansWithTheirRange) {
  std::string text = kRun;
  for (int i = 1; i <= 1200; ++i) {
    text += Json{{"kind", "step"}, {"step", i}, {"loss", i % 4}, {"lr", 0.1}}.dump() + "\n";
  }
  const Json loss = chart_named(report_on({read(text)}), "Loss of single steps");
  const Json& series = loss["series"][0];
  ASSERT_EQ(series["x"].size(), 300U);
  EXPECT_EQ(series["x"].back(), 1200.0);
  EXPECT_EQ(series["y"][0], 1.5);
  EXPECT_EQ(series["lo"][0], 0.0);
  EXPECT_EQ(series["hi"][0], 3.0);
}

TEST_F(Runs, ATornLastLineIsNoted) {
  const RunMetrics metrics = read(std::string(kRun) + kEpochs + R"({"kind":"step","st)");
  EXPECT_EQ(metrics.loss.x.size(), 2U);
  EXPECT_EQ(metrics.notes, (std::vector<std::string>{"line 4 of its metrics, the last, is torn"}));
}

TEST_F(Runs, LinesThatAreNoObjectsAreLeftOutAndCounted) {
  const RunMetrics metrics = read("[1,2]\n" + std::string(kRun) + "\n{\"kind\":\n" + kEpochs);
  EXPECT_EQ(metrics.loss.x.size(), 2U);
  ASSERT_EQ(metrics.notes.size(), 1U);
  EXPECT_TRUE(contains(metrics.notes[0], "2 of 6 lines")) << metrics.notes[0];
  EXPECT_TRUE(contains(metrics.notes[0], "the first is line 1"));
}

TEST_F(Runs, FieldsOfAnotherKindAreMissing) {
  const RunMetrics metrics = read(
      R"({"kind":7,"step":1})"
      "\n"
      R"({"kind":"run","net":[1],"lr":"much","parameters":1e300})"
      "\n"
      R"({"kind":"step","step":"one","loss":{},"lr":null})"
      "\n"
      R"({"kind":"probe","step":1,"gradients":[1],"weights":{"w":"x"},"norms":{"1":7,"2":{"gamma":[1,2]}}})"
      "\n"
      R"({"kind":"end","seconds":"long","test_accuracy":true})"
      "\n"
      R"({"kind":"warning","text":12})"
      "\n");
  EXPECT_TRUE(std::isnan(metrics.step_loss.y.at(0)));
  EXPECT_TRUE(std::isnan(metrics.weights.at(0).second.y.at(0)));
  EXPECT_TRUE(metrics.norms.at(0).gamma.x.empty());
  EXPECT_NO_THROW(make_page(report_lines(std::vector{metrics}, "0", "x")));
}

TEST_F(Runs, HostileNamesAreDataAndThePageIsWhole) {
  const std::string evil = "</script><script>alert(1)</script>";
  const Json line{{"kind", "probe"},
                  {"step", 1},
                  {"gradients", {{evil, 1.0}}},
                  {"norms", {{evil, {{"gamma", {1, 2, 3}}}}}}};
  RunMetrics metrics = read(line.dump() + "\n");
  metrics.name = evil + "\xff";
  const std::string page = make_page(report_lines(std::vector{metrics}, "0", evil));
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
}

TEST_F(Runs, NestingAndSizeDoNoHarm) {
  const std::string deep = std::string(200'000, '[') + "\n" + R"({"kind":"end","a":)" +
                           std::string(200'000, '[') + std::string(200'000, ']') + "}\n";
  std::string wide = R"({"kind":"probe","gradients":{)";
  for (int i = 0; i < 100'000; ++i) wide += '"' + std::to_string(i) + "\":1,";
  wide += R"("x":1}})"
          "\n";
  const RunMetrics metrics = read(kRun + deep + wide);
  EXPECT_TRUE(metrics.gradients.empty());
  EXPECT_TRUE(contains(metrics.notes.at(0), "2 of 4 lines"));
}

TEST_F(Runs, WithoutMetricsItIsAnError) {
  EXPECT_TRUE(contains(fault(""), "an empty file"));
  EXPECT_TRUE(contains(fault("what\nis this"), "2 other lines"));
  EXPECT_TRUE(fault("what").ends_with("1 other line"));
  EXPECT_TRUE(contains(fault(std::string("\x00\xff\n\x80", 4)), "other lines"));
  for (const std::string text : {"", "\n\n", "what\nis\rthis"}) {
    EXPECT_EQ(fault(text).find_first_of("\r\n"), std::string::npos);
    EXPECT_NE(fault(text), "");
  }
  const std::filesystem::path path = run(kRun);
  std::filesystem::remove(path / "metrics.jsonl");
  EXPECT_TRUE(contains(io::testing::message_of([&] { read_metrics(path); }), "metrics.jsonl"));
  std::filesystem::remove(path / "config.toml");
  EXPECT_TRUE(
      contains(io::testing::message_of([&] { read_metrics(path); }), "is not a run folder"));
}

TEST_F(Runs, MoreWarningsThanAnyoneReadsAreCounted) {
  std::string text = kRun;
  for (int i = 0; i < 15; ++i)
    text += R"({"kind":"warning","text":"a"})"
            "\n";
  const RunMetrics metrics = read(text);
  ASSERT_EQ(metrics.notes.size(), 11U);
  EXPECT_EQ(metrics.notes.back(), "and 5 more warnings");
}

}  // namespace
}  // namespace evenkeel::lab
