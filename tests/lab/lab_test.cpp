// The lab as a whole, on the smallest budget: every experiment runs, identical arms decide nothing,
// results repeat, interruptions lose nothing.
#include "lab/lab.h"

#include <map>
#include <set>

#include <gtest/gtest.h>

#include "lab/folder.h"
#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

using testing::Folder;
using testing::lines_of;

/// Remembers what it heard, and stops the lab after so many measurements.
class Ear : public Listener {
 public:
  struct Stop : std::exception {};

  explicit Ear(int cells = -1) : left_(cells) {}
  void on_start(std::size_t /*experiments*/, std::size_t cells) override { resumed = cells; }
  void on_progress(const CellProgress& progress, double left) override {
    last = progress;
    EXPECT_GE(left, 0);
    if (left_ > 0 && --left_ == 0) throw Stop();
  }

  std::size_t resumed = 0;
  CellProgress last;

 private:
  int left_;
};

LabOptions trial(const std::filesystem::path& out, std::vector<std::string> names = {}) {
  LabOptions options;
  options.names = std::move(names);
  options.budget = Budget::trial;
  options.data = {"glyphs:train=600,test=200"};
  options.out = out;
  options.jobs = 2;
  options.version = "test";
  return options;
}

LabResult run(const LabOptions& options) {
  Ear ear;
  return run_lab(options, ear);
}

/// Lines without times, for comparison.
std::vector<std::string> repeatable(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(path)) {
    lines.push_back(without_times(Json::parse(line)).dump());
  }
  return lines;
}

class EachExperiment : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Experiment& experiment : experiments()) all.push_back(experiment.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Lab, EachExperiment, ::testing::ValuesIn(names()), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

TEST_P(EachExperiment, runs_and_says_everything_that_the_page_needs) {
  const Folder folder;
  const LabResult result = run(trial(folder / "lab", {GetParam()}));
  ASSERT_EQ(result.findings.size(), 1U);
  EXPECT_NE(result.findings[0].verdict, Verdict::failed) << result.findings[0].summary;
  EXPECT_NE(result.findings[0].verdict, Verdict::skipped) << result.findings[0].summary;
  EXPECT_FALSE(result.findings[0].summary.empty());
  std::map<std::string, int> kinds;
  int headlines = 0;
  std::set<std::string> ids;
  for (const std::string& text : lines_of(result.results)) {
    const Json line = Json::parse(text);
    ++kinds[line.at("kind").get<std::string>()];
    if (line.at("kind") == "chart") {
      headlines += line.at("headline").get<bool>() ? 1 : 0;
      EXPECT_TRUE(ids.insert(line.at("id").get<std::string>()).second) << line.at("id");
      EXPECT_FALSE(line.at("series").empty());
      for (const Json& series : line.at("series")) {
        EXPECT_EQ(series.at("x").size(), series.at("y").size());
        EXPECT_EQ(series.value("lo", series.at("y")).size(), series.at("y").size());
      }
    }
    if (line.at("kind") == "table") {
      for (const Json& row : line.at("rows")) {
        EXPECT_EQ(row.size(), line.at("columns").size()) << line.at("title");
      }
    }
    if (line.at("kind") == "experiment") {
      EXPECT_FALSE(line.at("setup").empty());
      EXPECT_FALSE(line.at("practice").empty());
    }
  }
  EXPECT_EQ(headlines, 1);
  EXPECT_EQ(kinds["lab"], 1);
  EXPECT_EQ(kinds["experiment"], 1);
  EXPECT_EQ(kinds["verdict"], 1);
  EXPECT_GE(kinds["cell"], 4);
  EXPECT_GE(kinds["check"], 1);
}

TEST_P(EachExperiment, is_undecided_where_the_arms_are_identical) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {GetParam()});
  options.arms = Arms::identical;
  if (find_experiment(GetParam()).timed) options.clock = [] { return 0.0; };
  const LabResult result = run(options);
  EXPECT_EQ(result.findings[0].verdict, Verdict::undecided) << result.findings[0].summary;
  for (const std::string& text : lines_of(result.results)) {
    const Json line = Json::parse(text);
    if (line.at("kind") != "check") continue;
    EXPECT_EQ(line.at("outcome"), "unclear") << line.dump();
  }
}

TEST_P(EachExperiment, repeats_for_any_number_of_jobs) {
  const Folder folder;
  LabOptions options = trial(folder / "one", {GetParam()});
  options.jobs = 1;
  const auto one = repeatable(run(options).results);
  options.out = folder / "three";
  options.jobs = 3;
  EXPECT_EQ(one, repeatable(run(options).results));
}

TEST(Lab, goes_on_where_it_was_interrupted_and_ends_with_the_same) {
  const Folder folder;
  const LabOptions whole = trial(folder / "whole", {"convergence"});
  const auto wanted = repeatable(run(whole).results);
  const LabOptions options = trial(folder / "broken", {"convergence"});
  std::size_t kept = 0;
  for (int round = 0; round < 3; ++round) {
    Ear ear(3);
    EXPECT_THROW(run_lab(options, ear), Ear::Stop);
    EXPECT_GE(ear.resumed, kept);
    kept = ear.resumed;
  }
  EXPECT_GE(kept, 4U);
  EXPECT_EQ(wanted, repeatable(run(options).results));
}

TEST(Lab, says_how_much_is_done) {
  const Folder folder;
  Ear ear;
  run_lab(trial(folder / "lab", {"convergence"}), ear);
  EXPECT_EQ(ear.last.done, ear.last.expected);
}

TEST(Lab, refuses_another_lab_in_its_folder) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"convergence"});
  run(options);
  options.seeds = 6;
  EXPECT_THROW(run(options), UsageError);
}

TEST(Lab, skips_what_does_not_fit_the_data_and_says_why) {
  const Folder folder;
  const auto csv = folder / "rows.csv";
  {
    std::ofstream file(csv);
    file << "a,b,label\n";
    for (int i = 0; i < 200; ++i) file << i % 7 << "," << i % 5 << "," << i % 2 << "\n";
  }
  LabOptions options = trial(folder / "lab");
  options.data = {"csv:" + csv.string()};
  options.names.clear();
  for (const Experiment& experiment : experiments()) {
    if (experiment.needs == Needs::images) options.names.push_back(experiment.name);
  }
  for (const Finding& finding : run(options).findings) {
    EXPECT_EQ(finding.verdict, Verdict::skipped);
    EXPECT_NE(finding.summary.find("needs images"), std::string::npos) << finding.summary;
  }
}

TEST(Lab, names_the_nearest_experiment) {
  const Folder folder;
  try {
    run(trial(folder / "lab", {"convergense"}));
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("'convergence'"), std::string::npos) << error.what();
  }
}

TEST(Lab, refuses_numbers_out_of_range) {
  const Folder folder;
  LabOptions options = trial(folder / "lab");
  options.seeds = 1;
  EXPECT_THROW(run(options), UsageError);
  options.seeds = 5;
  options.jobs = -1;
  EXPECT_THROW(run(options), UsageError);
}

/// With treatment and control exchanged every check must say the opposite: a verdict that could not
/// come out the other way is not measured. At the quick budget, where effects show.
class VerdictLong : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Lab, VerdictLong, ::testing::ValuesIn(names()), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

std::vector<std::string> outcomes(const LabResult& result) {
  std::vector<std::string> list;
  for (const std::string& text : lines_of(result.results)) {
    const Json line = Json::parse(text);
    if (line.at("kind") == "check") list.push_back(line.at("outcome").get<std::string>());
  }
  return list;
}

TEST_P(VerdictLong, turns_round_where_the_arms_are_exchanged) {
  const Folder folder;
  LabOptions options = trial(folder / "declared", {GetParam()});
  options.budget = Budget::quick;
  options.data = LabOptions().data;
  const LabResult declared = run(options);
  options.out = folder / "swapped";
  options.arms = Arms::swapped;
  const LabResult swapped = run(options);
  const auto there = outcomes(declared), back = outcomes(swapped);
  ASSERT_EQ(there.size(), back.size());
  int decided = 0;
  for (std::size_t i = 0; i < there.size(); ++i) {
    if (there[i] == "unclear") continue;
    ++decided;
    if (find_experiment(GetParam()).timed) {
      EXPECT_NE(back[i], there[i]) << "check " << i;  // times vary, and may decide nothing
    } else {
      EXPECT_EQ(back[i], there[i] == "yes" ? "no" : "yes") << "check " << i;
    }
  }
  EXPECT_GE(decided, 1) << "nothing is decided";
  const Verdict verdict = declared.findings[0].verdict;
  if (find_experiment(GetParam()).timed) return;
  if (verdict == Verdict::supported) {
    EXPECT_EQ(swapped.findings[0].verdict, Verdict::not_supported);
  }
  if (verdict == Verdict::not_supported) {
    EXPECT_EQ(swapped.findings[0].verdict, Verdict::supported);
  }
}

}  // namespace
}  // namespace evenkeel::lab
