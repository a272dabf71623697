// Batch norms folded from the command line.
#include "command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

constexpr const char* kData = "glyphs:train=320,test=100";

class FoldCommand : public testing::CommandLine {};

TEST_F(FoldCommand, writes_weights_that_give_the_same_results) {
  train_small();
  const json result =
      run_json({"fold", "a run", "-o", "folded.safetensors", "--data", kData, "--json"});
  EXPECT_FALSE(result["folded"].empty());
  EXPECT_TRUE(result["kept"].empty());
  EXPECT_TRUE(result["same"].get<bool>());
  EXPECT_LE(result["largest_difference"].get<double>(), 1e-5);
  const json before = run_json({"eval", "a run", "--json"});
  const json after = run_json({"eval", "folded.safetensors", "--data", kData, "--json"});
  EXPECT_DOUBLE_EQ(after["accuracy"].get<double>(), before["accuracy"].get<double>());
  EXPECT_NEAR(after["loss"].get<double>(), before["loss"].get<double>(), 1e-5);
  const testing::Outcome layers = run({"inspect", "folded.safetensors"});
  EXPECT_EQ(layers.code, 0) << layers.err;
  EXPECT_EQ(layers.out.find("BatchNorm"), std::string::npos) << layers.out;
}

TEST_F(FoldCommand, takes_and_writes_onnx_models) {
  train_small();
  EXPECT_EQ(run({"export", "a run", "-o", "model.onnx"}).code, 0);
  const testing::Outcome shown = run({"fold", "model.onnx", "-o", "folded.onnx"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("folded into"), std::string::npos) << shown.out;
  const json before = run_json({"eval", "model.onnx", "--data", kData, "--json"});
  const json after = run_json({"eval", "folded.onnx", "--data", kData, "--json"});
  EXPECT_DOUBLE_EQ(after["accuracy"].get<double>(), before["accuracy"].get<double>());
  EXPECT_TRUE(run_json({"fold", "folded.onnx", "-o", "again.onnx", "--json"})["folded"].empty());
}

TEST_F(FoldCommand, a_difference_above_the_tolerance_writes_nothing) {
  train_small();
  const testing::Outcome outcome =
      run({"fold", "a run", "-o", "folded.onnx", "--tolerance", "1e-30"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("nothing was written"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder() / "folded.onnx"));
}

TEST_F(FoldCommand, networks_with_lone_layers_in_branches_become_weights) {
  train_small(
      {"--net", "densenet-small", "--data", "glyphs:train=64,test=40", "--batch-size", "32"});
  EXPECT_EQ(run({"fold", "a run", "-o", "folded.safetensors"}).code, 0);
  const std::vector<std::string> data{"--data", "glyphs:train=64,test=40", "--json"};
  std::vector<std::string> before{"eval", "a run"}, after{"eval", "folded.safetensors"};
  before.insert(before.end(), data.begin(), data.end());
  after.insert(after.end(), data.begin(), data.end());
  EXPECT_NEAR(run_json(after)["loss"].get<double>(), run_json(before)["loss"].get<double>(), 1e-4);
}

TEST_F(FoldCommand, of_sequences_the_written_model_is_compared_and_lengths_are_named) {
  std::string text;
  for (int n = 0; n < 60; ++n) {
    text += fmt::format("class {}\n", n % 2 == 0 ? "up" : "down");
    for (int t = 0; t < 2 + n % 7; ++t) text += fmt::format("{} {}\n", n % 2 == 0 ? t : -t, n % 5);
  }
  std::filesystem::create_directories(folder() / "slopes");
  for (const char* part : {"train", "test"}) {
    testing::write_text(folder() / fmt::format("slopes/{}.txt", part), text);
  }
  testing::write_text(folder() / "net.toml", R"(
    data = "sequence:slopes"
    epochs = 2
    layer = [
      {type = "Conv1d", in_channels = 2, out_channels = 4, kernel_size = 3, padding = 1},
      {type = "BatchNorm1d", num_features = 4},
      {type = "ReLU"},
      {type = "MeanOverTime"},
      {type = "Linear", in_features = 4, out_features = 2},
    ]
  )");
  ASSERT_EQ(run({"train", "net.toml", "--out", "a run"}).code, 0);
  const json result =
      run_json({"fold", "a run", "-o", "m.onnx", "--data", "sequence:slopes", "--json"});
  EXPECT_TRUE(result["read_back"].get<bool>());
  ASSERT_EQ(result["notes"].size(), 2U) << result["notes"];
  EXPECT_NE(result["notes"][0].get<std::string>().find("MeanOverTime 3"), std::string::npos);
  EXPECT_NE(result["notes"][1].get<std::string>().find("lengths"), std::string::npos);
  EXPECT_EQ(run_json({"export", "a run", "-o", "m.onnx", "--json"})["notes"].size(), 1U);
}

TEST_F(FoldCommand, mistakes_are_named) {
  train_small();
  EXPECT_EQ(run({"fold", "a run", "-o", "new.txt"}).code, 2);
  EXPECT_EQ(run({"fold", "a run"}).code, 2);
  EXPECT_EQ(run({"fold", "model.onnx", "-o", "folded.safetensors"}).code, 2);
  EXPECT_EQ(run({"fold", "a run", "-o", "folded.onnx", "--samples", "0"}).code, 2);
  EXPECT_EQ(run({"fold", "a run", "-o", "folded.onnx", "--tolerance", "0"}).code, 2);
}

}  // namespace
}  // namespace evenkeel
