// Networks leave as ONNX models, and models take the place of runs.
#include "command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

class OnnxCommand : public testing::CommandLine {};

TEST_F(OnnxCommand, an_exported_run_evaluates_and_predicts_as_the_run) {
  train_small({"--net", "convnet", "--data", "glyphs:train=256,test=200"});
  const json whole = run_json({"eval", "a run", "--json"});
  const json written = run_json({"export", "a run", "-o", "model.onnx", "--json"});
  EXPECT_EQ(written["opset"], 17);
  EXPECT_GT(written["nodes"].get<int>(), 5);
  EXPECT_EQ(written["notes"], json::array());
  for (const std::vector<std::string>& flags : {std::vector<std::string>{}, {"--fold"}}) {
    std::vector<std::string> words{"export", "a run", "-o", "model.onnx"};
    words.insert(words.end(), flags.begin(), flags.end());
    EXPECT_EQ(run(words).code, 0);
    const json read =
        run_json({"eval", "model.onnx", "--data", "glyphs:train=256,test=200", "--json"});
    EXPECT_EQ(read["count"], whole["count"]);
    EXPECT_NEAR(read["loss"].get<double>(), whole["loss"].get<double>(), 1e-4);
    EXPECT_NEAR(read["accuracy"].get<double>(), whole["accuracy"].get<double>(), 0.0051);
    EXPECT_EQ(read["net"], "onnx");
  }
}

TEST_F(OnnxCommand, a_model_in_its_run_folder_knows_the_data) {
  train_small();
  EXPECT_EQ(run({"export", "a run", "-o", "a run/model.onnx"}).code, 0);
  EXPECT_EQ(run({"eval", "a run/model.onnx"}).code, 0);
  const json result = run_json({"inspect", "a run/model.onnx", "--json"});
  EXPECT_EQ(result["parameters"], 235'530);
  EXPECT_EQ(run({"inspect", "a run/model.onnx"}).code, 0);
}

TEST_F(OnnxCommand, a_model_is_written_again) {
  train_small();
  EXPECT_EQ(run({"export", "a run", "-o", "one.onnx"}).code, 0);
  EXPECT_EQ(run({"export", "one.onnx", "-o", "two.onnx", "--batch", "4"}).code, 0);
  EXPECT_EQ(run_json({"inspect", "two.onnx", "--json"})["parameters"], 235'530);
}

TEST_F(OnnxCommand, a_model_that_names_its_batch_takes_any_number_of_samples) {
  train_small();
  const std::string data = "glyphs:train=320,test=99";  // no multiple of the batch, one left over
  EXPECT_EQ(run({"export", "a run", "-o", "any.onnx"}).code, 0);
  EXPECT_EQ(run({"export", "a run", "-o", "seven.onnx", "--batch", "7"}).code, 0);
  const json any = run_json({"eval", "any.onnx", "--data", data, "--json"});
  const json seven = run_json({"eval", "seven.onnx", "--data", data, "--json"});
  EXPECT_EQ(seven["count"], 99);
  EXPECT_DOUBLE_EQ(seven["accuracy"].get<double>(), any["accuracy"].get<double>());
  EXPECT_EQ(run({"fold", "seven.onnx", "-o", "folded.onnx", "--data", data}).code, 0);
}

TEST_F(OnnxCommand, mistakes_are_named) {
  train_small();
  EXPECT_EQ(run({"export", "a run", "-o", "model.txt"}).code, 2);
  EXPECT_EQ(run({"export", "a run", "-o", "m.onnx", "--fold", "--training"}).code, 2);
  EXPECT_EQ(run({"export", "a run"}).code, 2);
  const testing::Outcome missing = run({"eval", "no.onnx", "--data", "glyphs"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("no.onnx"), std::string::npos) << missing.err;
}

}  // namespace
}  // namespace evenkeel
