// evenkeel report: a page of runs.

#include <filesystem>

#include "cli/command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

class Report : public testing::CommandLine {};

TEST_F(Report, WritesAPageOfARun) {
  train_small();
  const testing::Outcome outcome = run({"report", "a run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("report.html"), std::string::npos);
  const std::string page = testing::read_text(folder() / "report.html");
  EXPECT_EQ(page.rfind("<!doctype html>", 0), 0U);
  EXPECT_NE(page.find(R"("title":"Loss, epoch by epoch")"), std::string::npos);
  EXPECT_NE(page.find(R"("command":"evenkeel report 'a run'")"), std::string::npos);
}

TEST_F(Report, SaysWhatItWroteAsJson) {
  train_small();
  const json result = run_json({"report", "a run", "./a run", "-o", "two.html", "--json"});
  EXPECT_EQ(result["file"], "two.html");
  EXPECT_GT(result["charts"], 0);
  ASSERT_EQ(result["runs"].size(), 2U);
  EXPECT_EQ(result["runs"][0]["facts"]["network"], "mlp");
  EXPECT_TRUE(std::filesystem::is_regular_file(folder() / "two.html"));
}

TEST_F(Report, ATornLineIsNotedAndTheRestIsDrawn) {
  train_small();
  const std::filesystem::path metrics = folder() / "a run/metrics.jsonl";
  testing::write_text(metrics, testing::read_text(metrics) + R"({"kind":"step","lo)");
  const testing::Outcome outcome = run({"report", "a run"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("the last, is torn"), std::string::npos) << outcome.out;
}

TEST_F(Report, WarningsOfARunCannotSteerTheTerminal) {
  train_small();
  const std::filesystem::path metrics = folder() / "a run/metrics.jsonl";
  testing::write_text(metrics, testing::read_text(metrics) +
                                   "{\"kind\":\"warning\",\"text\":\"a\\u001b[2Jb\\nc\"}\n");
  const testing::Outcome outcome = run({"report", "a run"});
  EXPECT_NE(outcome.out.find("a [2Jb c"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos);
}

TEST_F(Report, MistakesGiveOneLine) {
  train_small();
  expect_fault({"report"}, 2, {"RUN"});
  expect_fault({"report", "none"}, 1, {"'none' is not a run folder"});
  expect_fault({"report", "a run", "a run"}, 2, {"'a run' is named twice"});
  expect_fault({"report", "a run", "-o", "page.pdf"}, 2, {"page.pdf", ".html"});
  expect_fault({"report", "a run", "-o", "no folder/page.html"}, 1, {"no folder"});
  testing::write_text(folder() / "a run/metrics.jsonl", "what is\nthis");
  expect_fault({"report", "a run"}, 1, {"metrics.jsonl", "holds no metrics", "2 other lines"});
  testing::write_text(folder() / "a run/metrics.jsonl", "");
  expect_fault({"report", "a run"}, 1, {"an empty file"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "report.html"));
}

}  // namespace
}  // namespace evenkeel
