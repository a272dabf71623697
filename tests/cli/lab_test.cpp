// The lab at the command line.
#include <algorithm>
#include <random>

#include <sys/file.h>

#include "command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

class LabCommand : public testing::CommandLine {
 protected:
  std::vector<std::string> lab(std::vector<std::string> more, const std::string& out = "lab") {
    std::vector<std::string> arguments{"lab",   "--trial", "--data", "glyphs:train=600,test=200",
                                       "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  /// The lines of a lab's results, but for what differs from run to run.
  std::vector<std::string> results(const std::string& out) {
    std::istringstream text(testing::read_text(folder() / out / "results.jsonl"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) {
      json one = json::parse(line);
      if (one.value("timed", false)) continue;
      for (const char* const key : {"seconds", "command", "machine"}) one.erase(key);
      const json values = one.value("values", json::object());
      for (const auto& [name, value] : values.items()) {
        const bool varies =
            name.ends_with("_s") || name.ends_with("_ms") || name.ends_with("_bytes");
        if (varies) one["values"].erase(name);
      }
      lines.push_back(one.dump());
    }
    return lines;
  }
};

TEST_F(LabCommand, lists_and_shows_experiments) {
  const json all = run_json({"lab", "list", "--json"});
  ASSERT_GE(all["experiments"].size(), 1U);
  for (const json& one : all["experiments"]) {
    const auto name = one["name"].get<std::string>();
    const testing::Outcome shown = run({"lab", "show", name});
    EXPECT_EQ(shown.code, 0);
    for (const char* part : {"claim", "source", "question", "supported by", "in practice"}) {
      EXPECT_NE(shown.out.find(part), std::string::npos) << shown.out;
    }
    std::istringstream lines(shown.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 110U) << line;
  }
  EXPECT_NE(run({"lab", "list"}).out.find("convergence"), std::string::npos);
}

TEST_F(LabCommand, measures_and_writes_a_report) {
  const testing::Outcome outcome = run(lab({"convergence"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("convergence"), std::string::npos);
  EXPECT_NE(outcome.out.find("lab/index.html"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder() / "lab" / "index.html"));
  const json again = run_json(lab({"convergence", "--json"}));
  EXPECT_EQ(again["findings"][0]["name"], "convergence");
}

TEST_F(LabCommand, mistakes_are_one_line) {
  expect_fault({"lab", "convergense"}, 2, {"convergense", "did you mean 'convergence'"});
  expect_fault({"lab", "show"}, 2, {"show takes one name"});
  expect_fault({"lab", "list", "convergence"}, 2, {"list takes no names"});
  expect_fault({"lab", "--quick", "--full"}, 2, {"exclude each other"});
  expect_fault({"lab", "--seeds", "4"}, 2, {"--seeds", "from 5 to 100", "--trial", "2 or more"});
  expect_fault({"lab", "--trial", "--seeds", "1"}, 2, {"--seeds", "from 2 to 100"});
  expect_fault({"lab", "--jobs", "-3"}, 2, {"--jobs", "0 for one per processor"});
  expect_fault({"lab", "--arms", "crossed"}, 2, {"--arms"});
  expect_fault({"lab", "convergence", "--data", "mnist:nowhere", "--out", "other"}, 1, {"nowhere"});
  expect_fault(lab({"convergence", "--data", "nonsense"}, "other"), 2, {"nonsense"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "other"));
}

TEST_F(LabCommand, jobs_of_0_are_one_per_processor) {
  EXPECT_EQ(run(lab({"convergence", "--jobs", "0"})).code, 0);
  EXPECT_NE(run({"lab", "--help"}).out.find("(0: one per processor)"), std::string::npos);
}

TEST_F(LabCommand, says_what_was_known_and_keeps_the_other_experiments) {
  ASSERT_EQ(run(lab({"convergence", "covariate-shift"})).code, 0);
  const testing::Outcome again = run(lab({"convergence"}));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("Measurements kept from before: "), std::string::npos) << again.out;
  EXPECT_EQ(again.out.find("interrupted"), std::string::npos) << again.out;
  EXPECT_NE(again.out.find("Nothing was left to measure"), std::string::npos) << again.out;
  EXPECT_NE(again.out.find("other experiments of before, too: 1."), std::string::npos) << again.out;
  EXPECT_NE(testing::read_text(folder() / "lab/index.html").find("\"name\":\"covariate-shift\""),
            std::string::npos);
}

TEST_F(LabCommand, warns_of_lines_that_do_not_read) {
  ASSERT_EQ(run(lab({"convergence"})).code, 0);
  std::ofstream(folder() / "lab/cells.jsonl", std::ios::app) << "hello\n";
  const testing::Outcome again = run(lab({"convergence"}));
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(again.err.rfind("evenkeel: warning: ", 0), 0U) << again.err;
  EXPECT_EQ(std::count(again.err.begin(), again.err.end(), '\n'), 1) << again.err;
}

/// The other lab is this test, which holds the lock that a lab holds.
TEST_F(LabCommand, refuses_a_folder_in_which_another_lab_works) {
  ASSERT_EQ(run(lab({"convergence"})).code, 0);
  const int other = ::open((folder() / "lab/cells.jsonl").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  expect_fault(lab({"convergence"}), 1, {"another lab works in 'lab'", "--out"});
  ::close(other);
  EXPECT_EQ(run(lab({"convergence"})).code, 0);
}

TEST_F(LabCommand, skips_sequences_of_one_length_without_failing) {
  std::filesystem::create_directories(folder() / "same");
  for (const auto& [name, count] : {std::pair{"train.txt", 120}, std::pair{"test.txt", 40}}) {
    std::string text;
    for (int n = 0; n < count; ++n) {
      text += fmt::format("class {}\n{} 1\n{} 2\n\n", n % 2, n % 5, n % 3);
    }
    testing::write_text(folder() / "same" / name, text);
  }
  const json result =
      run_json({"lab", "sequences", "--trial", "--data", "sequence:same", "--json"});
  EXPECT_EQ(result["findings"][0]["verdict"], "skipped");
  EXPECT_NE(result["findings"][0]["summary"].get<std::string>().find("have 2 steps"),
            std::string::npos);
}

TEST_F(LabCommand, shows_a_command_that_a_shell_gives_back) {
  std::string rows = "a,b,label\n";
  for (int i = 0; i < 200; ++i) rows += fmt::format("{},{},{}\n", i % 7, i % 5, i % 2);
  testing::write_text(folder() / "two words.csv", rows);
  ASSERT_EQ(run({"lab", "landscape", "--trial", "--data", "csv:two words.csv"}).code, 0);
  const std::string first = testing::read_text(folder() / "runs/lab/results.jsonl");
  EXPECT_EQ(json::parse(first.substr(0, first.find('\n')))["command"],
            "evenkeel lab landscape --trial --data 'csv:two words.csv'");
}

TEST_F(LabCommand, refuses_a_folder_that_holds_another_lab) {
  EXPECT_EQ(run(lab({"convergence"})).code, 0);
  expect_fault(lab({"convergence", "--seeds", "6"}), 2, {"another lab", "--out"});
}

TEST_F(LabCommand, an_interruption_is_said_and_loses_nothing) {
  const testing::Outcome outcome = run_interrupted(lab({}), folder() / "lab" / "cells.jsonl");
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("start the same command again"), std::string::npos) << outcome.err;
  const testing::Outcome rest = run(lab({"convergence"}));
  EXPECT_EQ(rest.code, 0) << rest.err;
}

TEST_F(LabCommand, killed_at_random_it_ends_with_the_same_numbers) {
  ASSERT_EQ(run(lab({}, "whole")).code, 0);
  std::mt19937 random(7);
  std::uniform_int_distribution<int> moment(50, 600);
  for (int round = 0; round < 20; ++round) {
    run_killed(lab({}, "broken"), std::chrono::milliseconds(moment(random)));
  }
  ASSERT_EQ(run(lab({}, "broken")).code, 0);
  EXPECT_EQ(results("whole"), results("broken"));
}

}  // namespace
}  // namespace evenkeel
