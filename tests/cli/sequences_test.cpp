// Sequences of different lengths on the command line, from training to predictions.
#include "cli/command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

class SequenceCommand : public testing::CommandLine {
 protected:
  /// Sequences of 1 to 9 steps that rise or fall; `labels` puts class lines before them.
  static std::string slopes(int count, bool labels) {
    std::string text;
    for (int n = 0; n < count; ++n) {
      const int sign = n % 2 == 0 ? 1 : -1;
      text += labels ? fmt::format("class {}\n", sign > 0 ? "up" : "down") : "\n";
      for (int t = 0; t <= n % 9; ++t) text += fmt::format("{} {}\n", sign * (t + 1), n % 5);
    }
    return text;
  }
  void write_data() {
    std::filesystem::create_directories(folder() / "slopes");
    testing::write_text(folder() / "slopes/train.txt", slopes(180, true));
    testing::write_text(folder() / "slopes/test.txt", slopes(60, true));
    testing::write_text(folder() / "net.toml", R"(
      data = "sequence:slopes"
      epochs = 25
      optimizer = "adamw"
      lr = 0.02
      [[layer]]
      type = "LSTM"
      input_size = 2
      hidden_size = 8
      bidirectional = true
      norm = "batch"
      [[layer]]
      type = "LastStep"
      bidirectional = true
      [[layer]]
      type = "Linear"
      in_features = 16
      out_features = 2
    )");
  }
};

TEST_F(SequenceCommand, TrainEvalAndPredictGoTogether) {
  write_data();
  const json trained = run_json({"train", "net.toml", "--out", "a run", "--json"});
  EXPECT_GT(trained["accuracy"].get<double>(), 0.9);
  EXPECT_EQ(run_json({"eval", "a run", "--json"})["accuracy"], trained["accuracy"]);

  testing::write_text(folder() / "plain.txt", slopes(10, false));
  testing::write_text(folder() / "labelled.txt", slopes(10, true));
  const json plain = run_json({"predict", "a run", "plain.txt", "--json"});
  const json labelled = run_json({"predict", "a run", "labelled.txt", "--json"});
  ASSERT_EQ(plain["predictions"].size(), 10U);
  EXPECT_EQ(plain["predictions"][3]["label"], "down");
  EXPECT_EQ(plain["predictions"][4]["label"], "up");
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(plain["predictions"][i]["probability"], labelled["predictions"][i]["probability"]);
  }
}

TEST_F(SequenceCommand, LongerSequencesThanInTrainingAreTaken) {
  write_data();
  run_json({"train", "net.toml", "--out", "a run", "--json"});
  std::string longer;
  for (int n = 0; n < 4; ++n) {
    longer += fmt::format("class {}\n", n % 2 == 0 ? "up" : "down");
    for (int t = 0; t < 15; ++t) longer += fmt::format("{} 0\n", n % 2 == 0 ? t : -t);
  }
  std::filesystem::create_directories(folder() / "longer");
  testing::write_text(folder() / "longer/train.txt", longer);
  testing::write_text(folder() / "longer/test.txt", longer);
  EXPECT_EQ(run_json({"eval", "a run", "--data", "sequence:longer", "--json"})["count"], 4);
}

TEST_F(SequenceCommand, MistakesNameFileLineAndFix) {
  write_data();
  testing::write_text(folder() / "slopes/test.txt", "class up\n1 2\n3\n");
  expect_fault({"train", "net.toml"}, 1, {"test.txt", "line 3: expected 2 values as in line 2"});
  testing::write_text(folder() / "slopes/test.txt", "class up\n1 2\n");
  expect_fault({"train", "--data", "sequence:slopes"}, 1, {"MeanOverTime or LastStep"});
  expect_fault({"train", "net.toml", "--data", "sequence:nowhere"}, 1, {"expected train.txt"});
}

}  // namespace
}  // namespace evenkeel
