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
