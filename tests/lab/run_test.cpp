// Running the lab: what its folder holds, and what happens when it is run there again.
#include <algorithm>

#include <gtest/gtest.h>

#include "lab/folder.h"
#include "lab/lab.h"
#include "lab/trial_lab.h"
#include <evenkeel/core/error.h>

namespace evenkeel::lab {
namespace {

using testing::Folder;
using testing::kGlyphs;
using testing::lines_of;
using testing::lines_of_kind;
using testing::text_of;
using testing::trial;

LabResult run(const LabOptions& options) {
  Listener silent;
  return run_lab(options, silent);
}

/// 200 rows of numbers.
std::string write_rows(const std::filesystem::path& path) {
  std::ofstream file(path);
  file << "a,b,label\n";
  for (int i = 0; i < 200; ++i) file << i % 7 << "," << i % 5 << "," << i % 2 << "\n";
  return "csv:" + path.string();
}

TEST(LabRun, keeps_commands_that_a_shell_gives_back) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"landscape"});
  options.data = {write_rows(folder / "it's two words.csv")};
  const LabResult result = run(options);
  const std::string command =
      "evenkeel lab landscape --trial --data 'csv:" + (folder / "it'\\''s two words.csv").string() +
      "'";
  EXPECT_EQ(lines_of_kind(result.results, "lab").at(0).at("command"), command);
  EXPECT_EQ(lines_of_kind(result.results, "experiment").at(0).at("command"), command);
}

/// The names of the experiments that have a verdict.
std::vector<std::string> finished(const std::filesystem::path& path) {
  std::vector<std::string> names;
  for (const Json& line : lines_of_kind(path, "verdict")) {
    names.push_back(line.at("experiment").get<std::string>());
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(LabRun, keeps_what_was_finished_in_the_folder_before) {
  const Folder folder;
  const LabResult both = run(trial(folder / "lab", {"convergence", "covariate-shift"}));
  EXPECT_EQ(both.earlier, 0U);
  EXPECT_GT(both.measured, 0U);
  const auto whole = lines_of(both.results);
  const LabResult one = run(trial(folder / "lab", {"covariate-shift"}));
  EXPECT_EQ(one.earlier, 1U);
  EXPECT_EQ(one.measured, 0U);
  ASSERT_EQ(one.findings.size(), 1U);
  EXPECT_EQ(lines_of(one.results), whole);
  const std::string page = text_of(one.page);
  for (const char* const name : {"convergence", "covariate-shift"}) {
    EXPECT_NE(page.find(std::string("\"name\":\"") + name), std::string::npos) << name;
  }
}

TEST(LabRun, lets_more_experiments_join_in_the_order_of_the_report) {
  const Folder folder;
  run(trial(folder / "lab", {"covariate-shift"}));
  const LabResult second = run(trial(folder / "lab", {"convergence"}));
  EXPECT_EQ(finished(second.results), (Names{"convergence", "covariate-shift"}));
  EXPECT_EQ(lines_of_kind(second.results, "lab").at(0).at("command"),
            "evenkeel lab convergence covariate-shift --trial --data glyphs:train=600,test=200");
}

TEST(LabRun, keeps_nothing_of_another_lab) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"convergence"});
  run(options);
  std::filesystem::remove(folder / "lab" / "cells.jsonl");
  options.names = {"covariate-shift"};
  options.seeds = 2;
  EXPECT_EQ(finished(run(options).results), Names{"covariate-shift"});
}

TEST(LabRun, leaves_out_an_earlier_experiment_whose_lines_do_not_read) {
  const Folder folder;
  const auto results =
      run(trial(folder / "lab", {"convergence", "covariate-shift", "depth"})).results;
  std::vector<std::string> lines = lines_of(results);
  const auto damaged = std::ranges::find_if(lines, [](const std::string& line) {
    return line.find("\"kind\":\"cell\",\"experiment\":\"covariate-shift\"") != std::string::npos;
  });
  ASSERT_NE(damaged, lines.end());
  damaged->resize(30);
  {
    std::ofstream file(results, std::ios::trunc);
    for (const std::string& line : lines) file << line << "\n";
  }
  run(trial(folder / "lab", {"convergence"}));
  EXPECT_EQ(finished(results), (Names{"convergence", "depth"}));
  run(trial(folder / "lab", {"covariate-shift"}));
  EXPECT_EQ(finished(results), (Names{"convergence", "covariate-shift", "depth"}));
}

TEST(LabRun, looks_at_all_data_before_it_writes) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"convergence"});
  options.data = {kGlyphs, "mnist:" + (folder / "nowhere").string()};
  EXPECT_THROW(run(options), IoError);
  options.data = {kGlyphs, "nonsense"};
  EXPECT_THROW(run(options), UsageError);
  EXPECT_FALSE(std::filesystem::exists(folder / "lab"));
}

TEST(LabRun, begins_anew_in_a_folder_where_nothing_was_measured) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"landscape"});
  options.data = {write_rows(folder / "rows.csv")};
  EXPECT_EQ(run(options).findings.at(0).verdict, Verdict::skipped);
  options = trial(folder / "lab", {"convergence"});
  EXPECT_EQ(finished(run(options).results), Names{"convergence"});
}

TEST(LabRun, asks_for_five_seeds_where_verdicts_mean_something) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"landscape"});
  options.data = {write_rows(folder / "rows.csv")};  // which it skips: nothing is measured
  options.seeds = 2;
  EXPECT_NO_THROW(run(options));
  for (const Budget budget : {Budget::quick, Budget::full}) {
    options.budget = budget;
    options.seeds = 4;
    EXPECT_THROW(run(options), UsageError);
    options.seeds = 5;
    EXPECT_NO_THROW(run(options));
  }
}

/// Sequences of five steps, all of them.
std::string write_sequences(const std::filesystem::path& path) {
  std::filesystem::create_directories(path);
  for (const auto& [name, count] : {std::pair{"train.txt", 120}, std::pair{"test.txt", 40}}) {
    std::ofstream file(path / name);
    for (int n = 0; n < count; ++n) {
      file << "class " << (n % 2 == 0 ? "up" : "down") << "\n";
      for (int t = 0; t < 5; ++t) file << (n % 2 == 0 ? t : -t) << " " << n % 5 << "\n";
      file << "\n";
    }
  }
  return "sequence:" + path.string();
}

TEST(LabRun, skips_an_experiment_that_finds_out_that_the_data_do_not_serve) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"sequences"});
  options.data = {write_sequences(folder / "same")};
  const LabResult result = run(options);
  EXPECT_EQ(result.findings.at(0).verdict, Verdict::skipped);
  EXPECT_EQ(result.findings.at(0).summary, "needs sequences of different lengths, and all of '" +
                                               options.data[0] + "' have 5 steps");
  EXPECT_EQ(lines_of_kind(result.results, "experiment").at(0).at("data"), "");
}

TEST(LabRun, takes_the_next_data_where_an_experiment_finds_that_the_first_do_not_serve) {
  const Folder folder;
  LabOptions options = trial(folder / "lab", {"sequences"});
  options.data = {write_sequences(folder / "same"), kGlyphs};
  const LabResult result = run(options);
  EXPECT_NE(result.findings.at(0).verdict, Verdict::skipped);
  EXPECT_EQ(lines_of_kind(result.results, "experiment").at(0).at("data"), kGlyphs);
}

TEST(LabRun, counts_the_seconds_of_all_cells_whenever_they_were_measured) {
  const Folder folder;
  const LabOptions options = trial(folder / "lab", {"convergence"});
  run(options);
  for (int round = 0; round < 2; ++round) {
    const LabResult result = run(options);
    double cells = 0;
    for (const Json& line : lines_of_kind(result.results, "cell")) {
      cells += line.at("seconds").get<double>();
    }
    EXPECT_GT(cells, 0);
    EXPECT_DOUBLE_EQ(result.findings.at(0).seconds, cells);
    EXPECT_EQ(lines_of_kind(result.results, "verdict").at(0).at("seconds"),
              result.findings.at(0).seconds);
  }
}

/// Remembers the last progress.
class Watch : public Listener {
 public:
  void on_progress(const CellProgress& progress, double /*left*/) override { last = progress; }
  void on_warning(const std::string& text) override { warnings.push_back(text); }
  CellProgress last;
  std::vector<std::string> warnings;
};

TEST(LabRun, tells_what_was_known_from_what_it_measures) {
  const Folder folder;
  const LabOptions options = trial(folder / "lab", {"convergence"});
  Watch first;
  run_lab(options, first);
  EXPECT_EQ(first.last.known, 0);
  Watch second;
  run_lab(options, second);
  EXPECT_EQ(second.last.known, second.last.done);
  EXPECT_EQ(second.last.done, first.last.done);
}

TEST(LabRun, warns_once_of_lines_that_it_leaves_out) {
  const Folder folder;
  const LabOptions options = trial(folder / "lab", {"convergence"});
  run(options);
  const auto cells = folder / "lab" / "cells.jsonl";
  std::vector<std::string> lines = lines_of(cells);
  lines[2].resize(20);
  lines[3] += lines[4];
  {
    std::ofstream file(cells, std::ios::trunc);
    for (const std::string& line : lines) file << line << "\n";
  }
  Watch watch;
  EXPECT_EQ(run_lab(options, watch).measured, 2U);
  ASSERT_EQ(watch.warnings.size(), 1U);
  EXPECT_NE(watch.warnings[0].find("left out: 2;"), std::string::npos) << watch.warnings[0];
}

}  // namespace
}  // namespace evenkeel::lab
