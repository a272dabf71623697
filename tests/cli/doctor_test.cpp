// The doctor at the command line.
#include "command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

class DoctorCommand : public testing::CommandLine {
 protected:
  /// The names of the findings of each severity, joined by spaces.
  std::string names(const json& result, const std::string& severity) {
    std::string text;
    for (const json& finding : result["findings"]) {
      const auto name = finding["name"].get<std::string>();
      if (finding["severity"] == severity && text.find(name) == std::string::npos) {
        text += (text.empty() ? "" : " ") + name;
      }
    }
    return text;
  }
  /// Runs that end with `code`.
  json diagnosis(std::vector<std::string> arguments, int code) {
    arguments.insert(arguments.begin(), "doctor");
    arguments.emplace_back("--json");
    const testing::Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << outcome.out << outcome.err;
    return json::parse(outcome.out);
  }
};

TEST_F(DoctorCommand, a_healthy_run_gives_notes_and_0) {
  train_small({"--epochs", "8"});
  const json result = diagnosis({"a run"}, 0);
  EXPECT_EQ(names(result, "warning"), "");
  EXPECT_EQ(names(result, "error"), "");
  EXPECT_EQ(names(result, "info"), "foldable");
  EXPECT_EQ(result["batch_norms"], 2);
  EXPECT_EQ(result["samples"], 320);
  EXPECT_EQ(result["batch_size"], 64);
  EXPECT_EQ(result["left_out"], json::array());
  EXPECT_GT(result["running"]["accuracy"], 0.5);
  const testing::Outcome shown = run({"doctor", "a run"});
  EXPECT_EQ(shown.code, 0);
  for (const char* part : {"mlp, 2 batch norms", "foldable: 2 layers: 2, 5",
                           "no errors, no warnings, "
                           "2 notes"}) {
    EXPECT_NE(shown.out.find(part), std::string::npos) << shown.out;
  }
}

TEST_F(DoctorCommand, warnings_give_3) {
  train_small({"--epochs", "8", "--momentum", "0.99", "--batch-size", "8"});
  const json result = diagnosis({"a run"}, 3);
  EXPECT_EQ(names(result, "warning"), "momentum-convention tiny-batch");
  EXPECT_EQ(result["warnings"], 4);
  EXPECT_EQ(result["findings"][0]["layer"], "2");
  EXPECT_EQ(result["findings"][0]["type"], "BatchNorm1d");
}

TEST_F(DoctorCommand, errors_give_4) {
  train_small({"--epochs", "8", "--net", "convnet"});
  EXPECT_EQ(run({"export", "a run", "-o", "a run/model.onnx", "--training"}).code, 0);
  const json result = diagnosis({"a run/model.onnx"}, 4);
  EXPECT_EQ(names(result, "error"), "training-mode");
  EXPECT_EQ(result["errors"], 4);
  EXPECT_EQ(result["data"], "glyphs:train=320,test=100");
  EXPECT_EQ(run({"export", "a run", "-o", "a run/model.onnx"}).code, 0);
  diagnosis({"a run/model.onnx"}, 0);
}

TEST_F(DoctorCommand, says_what_it_left_out) {
  train_small({"--epochs", "8"});
  const json result = diagnosis({"a run", "--no-data"}, 0);
  EXPECT_EQ(result["left_out"], json::array({"what needs data: --no-data"}));
  EXPECT_FALSE(result.contains("samples"));
  EXPECT_EQ(run({"export", "a run", "-o", "model.onnx"}).code, 0);
  EXPECT_EQ(diagnosis({"model.onnx"}, 0)["left_out"].size(), 2U);
  const json given = diagnosis({"model.onnx", "--data", "glyphs:train=320,test=100"}, 0);
  EXPECT_EQ(given["left_out"].size(), 1U);
  EXPECT_EQ(given["samples"], 320);
  EXPECT_EQ(run({"export", "a run", "-o", "one.onnx", "--batch", "1"}).code, 0);
  diagnosis({"one.onnx", "--data", "glyphs:train=320,test=100"}, 0);
}

TEST_F(DoctorCommand, data_that_are_gone_are_left_out) {
  std::string rows;
  for (int i = 0; i < 400; ++i) {
    rows += fmt::format("{},{},{}\n", i % 7, (i * 5) % 11, i % 2);
  }
  testing::write_text(folder() / "rows.csv", rows);
  EXPECT_EQ(run({"train", "--data", "csv:rows.csv", "--epochs", "10", "--out", "a run"}).code, 0);
  EXPECT_EQ(diagnosis({"a run"}, 0)["left_out"], json::array());
  std::filesystem::remove(folder() / "rows.csv");
  const json result = diagnosis({"a run"}, 0);
  ASSERT_EQ(result["left_out"].size(), 1U);
  EXPECT_NE(result["left_out"][0].get<std::string>().find("rows.csv"), std::string::npos);
  expect_fault({"doctor", "a run", "--data", "csv:rows.csv"}, 1, {"rows.csv"});
}

TEST_F(DoctorCommand, a_recalibrated_file_is_healthy) {
  train_small();
  const json before = diagnosis({"a run"}, 4);  // five steps are too few for anything
  EXPECT_NE(names(before, "warning").find("few-updates"), std::string::npos);
  EXPECT_EQ(run({"recalibrate", "a run", "-o", "new.safetensors"}).code, 0);
  diagnosis({"new.safetensors", "--data", "glyphs:train=320,test=100"}, 0);
}

TEST_F(DoctorCommand, mistakes_are_named) {
  train_small();
  expect_fault({"doctor", "nowhere"}, 1, {"nowhere"});
  expect_fault({"doctor", "a run", "--data", "glyphs", "--no-data"}, 2, {"--no-data"});
  expect_fault({"doctor", "a run", "--part", "validation"}, 2, {"no validation part"});
  expect_fault({"doctor", "a run", "--samples", "1"}, 2, {"samples"});
  expect_fault({"doctor", "a run", "--data", "glyphss"}, 2, {"glyphs"});
}

}  // namespace
}  // namespace evenkeel
