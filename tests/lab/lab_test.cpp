// The lab as a whole, on the smallest budget: every experiment runs, identical arms decide nothing,
// planted networks decide either way, results repeat, interruptions lose nothing.
#include "lab/lab.h"

#include <atomic>
#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "lab/folder.h"
#include "lab/trial_lab.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/memory.h>

namespace evenkeel::lab {
namespace {

using testing::Folder;
using testing::lines_of;
using testing::lines_of_kind;
using testing::trial;

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

LabResult run(const LabOptions& options) {
  Ear ear;
  return run_lab(options, ear);
}

/// Goes on by 2^-30 s for each byte that is allocated: the same work takes the same time on any
/// machine, to the last digit, and other work another.
class WorkClock {
 public:
  WorkClock() {
    set_allocation_hook([this](std::size_t bytes) {
      bytes_ += bytes;
      return true;
    });
  }
  ~WorkClock() { set_allocation_hook({}); }
  WorkClock(const WorkClock&) = delete;
  WorkClock& operator=(const WorkClock&) = delete;

  double now() const { return std::ldexp(static_cast<double>(bytes_), -30); }

 private:
  std::atomic<std::size_t> bytes_ = 0;
};

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
  const WorkClock clock;
  LabOptions options = trial(folder / "lab", {GetParam()});
  options.arms = Arms::identical;
  const bool timed = find_experiment(GetParam()).timed;
  if (timed) options.clock = [&] { return clock.now(); };
  const LabResult result = run(options);
  EXPECT_EQ(result.findings[0].verdict, Verdict::undecided) << result.findings[0].summary;
  for (const Json& line : lines_of_kind(result.results, "check")) {
    EXPECT_EQ(line.at("outcome"), "unclear") << line.dump();
    if (!timed) continue;
    EXPECT_EQ(number_from(line.at("mean")), 1) << line.dump();  // measured, and equal
  }
}

/// What is measured of a network that is known. Of the rest of a measurement no check knows.
void plant(Measurement& measurement, bool good) {
  for (auto& [name, value] : measurement.values) {
    static const std::set<std::string> higher{"accuracy", "validation", "best",   "average",
                                              "lowered",  "random 2",   "sorted", "shifted"};
    static const std::set<std::string> lower{
        "change", "changed",    "drift",     "before_drift", "before_spread",
        "error",  "eval_error", "gap",       "loss gap",     "gradient spread",
        "range",  "restored",   "roughness", "shift",        "spread"};
    if (higher.contains(name)) value = good ? 0.9 : 0.5;
    if (lower.contains(name)) value = good ? 1e-20 : 1;
  }
  // One is where it ends at once, the other only at the end.
  if (const auto found = measurement.series.find("accuracy"); found != measurement.series.end()) {
    std::vector<double>& y = found->second.y;
    std::ranges::fill(y, good ? 0.9 : 0.1);
    if (!good && !y.empty()) y.back() = 0.5;
  }
}

/// Of `cost`, whose cells hold all arms. As its claim says: dearer in training, and as fast as the
/// network without once folded; else the reverse.
void plant_cost(Measurement& measurement, bool claimed) {
  for (auto& [name, value] : measurement.values) {
    const double training = claimed ? 2 : 0.5, folded = claimed ? 1 : 2;
    value = name.starts_with("without") ? 1 : name.ends_with("folded_ms") ? folded : training;
  }
}

/// The claim's arm is given what a good network measures and the control what a bad one does, and
/// the reverse: every experiment says yes to the one and no to the other.
TEST_P(EachExperiment, says_what_planted_networks_say) {
  const Experiment& experiment = find_experiment(GetParam());
  for (const bool supports : {true, false}) {
    const Folder folder;
    LabOptions options = trial(folder / "lab", {GetParam()});
    options.plant = [&](const Cell& cell, const Measure& measure) {
      Measurement measurement = measure(cell);
      if (experiment.timed) {
        plant_cost(measurement, supports);
      } else {
        plant(measurement, (cell.arm != experiment.contrast.control) == supports);
      }
      return measurement;
    };
    const LabResult result = run(options);
    EXPECT_EQ(result.findings[0].verdict, supports ? Verdict::supported : Verdict::not_supported)
        << result.findings[0].summary;
    for (const Json& line : lines_of_kind(result.results, "check")) {
      EXPECT_NE(line.at("outcome"), supports ? "no" : "yes") << line.dump();
    }
  }
}

/// The same with a network that is really there, in experiments of which a trial tells as much: one
/// arm's learning rate is so low that it stays as it was drawn.
TEST(Lab, meets_a_network_that_does_not_learn) {
  // Whether not to learn is good: what stands still does not drift.
  const std::map<std::string, bool> is_good{{"batch-size", false},
                                            {"covariate-shift", true},
                                            {"hyper-parameters", false},
                                            {"placement", false}};
  for (const auto& [name, good] : is_good) {
    const Contrast& contrast = find_experiment(name).contrast;
    for (const std::string& arm : {contrast.treatment, contrast.control}) {
      const Folder folder;
      LabOptions options = trial(folder / "lab", {name});
      options.plant = [&](Cell cell, const Measure& measure) {
        for (auto& [what, value] : cell.at) {
          if (cell.arm == arm && what == "rate") value = 1e-7;
        }
        return measure(cell);
      };
      const Verdict wanted =
          (arm == contrast.treatment) == good ? Verdict::supported : Verdict::not_supported;
      EXPECT_EQ(run(options).findings[0].verdict, wanted) << name << ": " << arm;
    }
  }
}

/// Networks are built as the arms say, and not renamed when results are read.
TEST(Lab, builds_what_it_times) {
  const auto values = [](Arms arms) {
    const Folder folder;
    const WorkClock clock;
    LabOptions options = trial(folder / "lab", {"cost"});
    options.arms = arms;
    options.clock = [&] { return clock.now(); };
    return lines_of_kind(run(options).results, "cell").at(0).at("values");
  };
  const Json declared = values(Arms::declared), swapped = values(Arms::swapped),
             identical = values(Arms::identical);
  for (const std::string quantity : {"step_ms", "step_bytes", "inference_ms", "folded_ms"}) {
    const std::string with = "with batch norm: " + quantity, without = "without: " + quantity;
    const std::string unfused = "with, not fused: " + quantity;
    EXPECT_GT(declared.at(without), 0) << quantity;
    if (quantity == "folded_ms") {
      EXPECT_EQ(declared.at(with), declared.at(without));
    } else {
      EXPECT_GT(declared.at(with), declared.at(without)) << quantity;
    }
    EXPECT_EQ(swapped.at(with), declared.at(without)) << quantity;
    EXPECT_EQ(swapped.at(without), declared.at(with)) << quantity;
    for (const std::string& each : {with, without, unfused}) {
      EXPECT_EQ(identical.at(each), declared.at(without)) << each;
    }
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

/// With treatment and control exchanged every check that decides must say the opposite, and the
/// verdict be the one that follows from that: a verdict that could not come out the other way is
/// not measured. At the quick budget, where effects show.
class VerdictLong : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Lab, VerdictLong, ::testing::ValuesIn(names()), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

std::vector<Check> checks_of(const LabResult& result) {
  std::vector<Check> checks;
  for (const Json& line : lines_of_kind(result.results, "check")) {
    Check check;
    check.text = line.at("text").get<std::string>();
    for (const Outcome outcome : {Outcome::yes, Outcome::no}) {
      if (line.at("outcome") == name_of(outcome)) check.outcome = outcome;
    }
    for (const Judge judge : {Judge::ratio, Judge::alike}) {
      if (line.at("judge") == name_of(judge)) check.judge = judge;
    }
    checks.push_back(check);
  }
  return checks;
}

/// With the arms exchanged. What is alike stays alike, and what was dearer is cheaper, which no
/// check of equality calls good or bad.
Outcome mirrored(const Check& check) {
  const bool alike = check.judge == Judge::alike;
  if (check.outcome == Outcome::yes) return alike ? Outcome::yes : Outcome::no;
  if (check.outcome == Outcome::no) return alike ? Outcome::unclear : Outcome::yes;
  return Outcome::unclear;
}

TEST_P(VerdictLong, turns_round_where_the_arms_are_exchanged) {
  const Folder folder;
  const WorkClock clock;
  LabOptions options = trial(folder / "declared", {GetParam()});
  options.budget = Budget::quick;
  options.data = LabOptions().data;
  if (find_experiment(GetParam()).timed) options.clock = [&] { return clock.now(); };
  const LabResult declared = run(options);
  options.out = folder / "swapped";
  options.arms = Arms::swapped;
  const LabResult swapped = run(options);
  std::vector<Check> wanted = checks_of(declared);
  const std::vector<Check> found = checks_of(swapped);
  ASSERT_EQ(wanted.size(), found.size());
  int decided = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const bool was_decided = wanted[i].outcome != Outcome::unclear;
    wanted[i].outcome = mirrored(wanted[i]);
    if (!was_decided) continue;
    ++decided;
    EXPECT_EQ(name_of(found[i].outcome), name_of(wanted[i].outcome)) << wanted[i].text;
  }
  EXPECT_GE(decided, 1) << "nothing is decided";
  EXPECT_EQ(name_of(swapped.findings[0].verdict), name_of(verdict_of(wanted)));
}

}  // namespace
}  // namespace evenkeel::lab
