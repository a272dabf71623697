// Running statistics taken anew from the command line.
#include "command.h"

namespace evenkeel {
namespace {

using nlohmann::json;

class RecalibrateCommand : public testing::CommandLine {};

TEST_F(RecalibrateCommand, writes_weights_that_evaluate) {
  train_small();
  const json result = run_json({"recalibrate", "a run", "-o", "new.safetensors", "--json"});
  EXPECT_FALSE(result["layers"].empty());
  EXPECT_TRUE(result["kept"].empty());
  const json evaluated =
      run_json({"eval", "new.safetensors", "--data", "glyphs:train=320,test=100", "--json"});
  EXPECT_DOUBLE_EQ(evaluated["accuracy"].get<double>(), result["accuracy"].get<double>());
  const testing::Outcome shown = run({"recalibrate", "a run", "-o", "again.safetensors", "--order",
                                      "layer-by-layer", "--samples", "200"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("200 samples of the train part"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("test accuracy"), std::string::npos) << shown.out;
}

TEST_F(RecalibrateCommand, takes_and_writes_onnx_models) {
  train_small();
  EXPECT_EQ(run({"export", "a run", "-o", "model.onnx"}).code, 0);
  const json result = run_json({"recalibrate", "model.onnx", "--data", "glyphs:train=320,test=100",
                                "-o", "new.onnx", "--json"});
  const json evaluated =
      run_json({"eval", "new.onnx", "--data", "glyphs:train=320,test=100", "--json"});
  EXPECT_NEAR(evaluated["accuracy"].get<double>(), result["accuracy"].get<double>(), 0.0101);
  EXPECT_EQ(run({"recalibrate", "model.onnx", "--data", "glyphs:train=320,test=100", "-o",
                 "new.safetensors"})
                .code,
            2);
}

TEST_F(RecalibrateCommand, mistakes_are_named) {
  train_small();
  EXPECT_EQ(run({"recalibrate", "a run", "-o", "new.txt"}).code, 2);
  EXPECT_EQ(run({"recalibrate", "a run"}).code, 2);
  EXPECT_EQ(run({"recalibrate", "a run", "-o", "new.safetensors", "--adapt", "2"}).code, 2);
  const testing::Outcome empty =
      run({"recalibrate", "a run", "-o", "new.safetensors", "--part", "validation"});
  EXPECT_EQ(empty.code, 2);
  EXPECT_NE(empty.err.find("has no validation part"), std::string::npos) << empty.err;
  EXPECT_EQ(run({"recalibrate", "a run", "-o", "new.safetensors", "--samples", "999999"}).code, 2);
}

}  // namespace
}  // namespace evenkeel
