// What commands make of ONNX models from elsewhere.
#include <cmath>
#include <sstream>

#include "cli/command.h"
#include "deploy/onnx_bytes.h"

namespace evenkeel {
namespace {

using deploy::testing::attribute;
using deploy::testing::Message;
using deploy::testing::ModelParts;
using deploy::testing::node_message;
using deploy::testing::value_message;
using nlohmann::json;

constexpr const char* kData = "glyphs:train=96,test=40";

/// [count], different from one another.
Tensor spread(const Shape& shape, double from, DType dtype) {
  Tensor result = Tensor::empty(shape, DType::f64);
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    result.data<double>()[i] = from + 0.01 * static_cast<double>(i * 7 % 19);
  }
  return result.to(dtype);
}

struct Made {
  DType dtype = DType::f32;
  bool training = false;  ///< by further outputs, as before operator set 14
  double variance = 1;
};

/// Glyphs to ten values: "picture in" → Flatten → Gemm → BatchNormalization → "scores out", and
/// "extra out" beside it.
std::string glyph_model(const Made& how = {}) {
  ModelParts parts;
  const std::int64_t type = how.dtype == DType::f64 ? 11 : 1;
  std::vector<std::string> outputs{"scores out"};
  if (how.training) outputs.insert(outputs.end(), {"m2", "v2", "m3", "v3"});
  parts.opset = 13;
  parts.nodes = {
      node_message("Flatten", {"picture in"}, {"flat"}),
      node_message("Gemm", {"flat", "fc.weight", "fc.bias"}, {"t"},
                   {attribute("transB", std::int64_t{1})}),
      node_message("BatchNormalization", {"t", "bn.weight", "bn.bias", "mean", "var"}, outputs),
      node_message("Relu", {"t"}, {"extra out"})};
  parts.initializers = {{"fc.weight", spread({10, 784}, -0.1, how.dtype)},
                        {"fc.bias", spread({10}, 0, how.dtype)},
                        {"bn.weight", spread({10}, 1, how.dtype)},
                        {"bn.bias", spread({10}, 0, how.dtype)},
                        {"mean", spread({10}, 0, how.dtype)},
                        {"var", Tensor::full({10}, how.variance, how.dtype)}};
  parts.inputs = {value_message("picture in", {-1, 1, 28, 28}, type)};
  parts.outputs = {value_message("scores out", {-1, 10}, type),
                   value_message("extra out", {-1, 10}, type)};
  return parts.bytes();
}

class OnnxModels : public testing::CommandLine {
 protected:
  void write_model(const std::string& name, const std::string& bytes) {
    testing::write_text(folder() / name, bytes);
  }
};

TEST_F(OnnxModels, KeepTheNamesOfInputAndOutputAndWarnOfWhatIsLeftOut) {
  write_model("m.onnx", glyph_model());
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"export", "m.onnx", "-o", "new.onnx", "--json"},
        {"fold", "m.onnx", "-o", "new.onnx", "--json"},
        {"recalibrate", "m.onnx", "--data", kData, "-o", "new.onnx", "--json"}}) {
    const testing::Outcome outcome = run(words);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("warning: "), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("'extra out'"), std::string::npos) << outcome.err;
    const json notes = json::parse(outcome.out)["notes"];
    ASSERT_EQ(notes.size(), 1U) << notes;
    EXPECT_NE(notes[0].get<std::string>().find("'extra out'"), std::string::npos) << notes;
    const std::string bytes = testing::read_text(folder() / "new.onnx");
    EXPECT_NE(bytes.find("picture in"), std::string::npos) << words[0];
    EXPECT_NE(bytes.find("scores out"), std::string::npos) << words[0];
    EXPECT_EQ(bytes.find("extra out"), std::string::npos) << words[0];
    std::filesystem::remove(folder() / "new.onnx");
  }
}

TEST_F(OnnxModels, InTrainingModeAreNotFoldedBeforeTheyAreWrittenInEvalMode) {
  write_model("m.onnx", glyph_model({.training = true}));
  expect_fault({"fold", "m.onnx", "-o", "new.onnx"}, 1,
               {"[fold]", "training mode", "'bn'", "export"});
  expect_fault({"export", "m.onnx", "--fold", "-o", "new.onnx"}, 1, {"[export]", "training mode"});
  expect_fault({"eval", "m.onnx", "--fold", "--data", kData}, 1, {"[eval]", "training mode"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "new.onnx"));
  EXPECT_EQ(run({"doctor", "m.onnx", "--no-data"}).code, 4);
  EXPECT_NE(run({"export", "m.onnx", "-o", "eval.onnx"}).out.find("eval mode"), std::string::npos);
  EXPECT_EQ(run({"fold", "eval.onnx", "-o", "new.onnx"}).code, 0);
}

TEST_F(OnnxModels, WithStatisticsThatAreNotFiniteAreNotFolded) {
  write_model("m.onnx", glyph_model({.variance = std::nan("")}));
  expect_fault({"fold", "m.onnx", "-o", "new.onnx"}, 1, {"'bn'", "running_var", "recalibrate"});
  expect_fault({"export", "m.onnx", "--fold", "-o", "new.onnx"}, 1, {"'bn'", "recalibrate"});
  EXPECT_FALSE(std::filesystem::exists(folder() / "new.onnx"));
  EXPECT_EQ(run({"recalibrate", "m.onnx", "--data", kData, "-o", "cured.onnx"}).code, 0);
  const testing::Outcome folded = run({"fold", "cured.onnx", "-o", "new.onnx"});
  EXPECT_EQ(folded.code, 0) << folded.out << folded.err;
}

/// Such as that the model does not say how its inputs are normalized; no warning, no error.
bool notes_alone(const std::string& err) {
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("evenkeel: note: ")) return false;
  }
  return true;
}

TEST_F(OnnxModels, OfDoublesAreUsedLikeOthers) {
  write_model("single.onnx", glyph_model());
  write_model("double.onnx", glyph_model({.dtype = DType::f64}));
  const json single = run_json({"eval", "single.onnx", "--data", kData, "--json"});
  const json wide = run_json({"eval", "double.onnx", "--data", kData, "--json"});
  EXPECT_NEAR(wide["loss"].get<double>(), single["loss"].get<double>(), 1e-3);
  std::string row;
  for (int i = 0; i < 784; ++i) row += fmt::format("{}{}", i == 0 ? "" : ",", i % 5);
  testing::write_text(folder() / "row.csv", row + "\n" + row + "\n");
  EXPECT_EQ(run_json({"predict", "double.onnx", "row.csv", "--json"})["predictions"].size(), 2U);
  EXPECT_EQ(run({"recalibrate", "double.onnx", "--data", kData, "-o", "new.onnx"}).code, 0);
  EXPECT_EQ(run({"fold", "new.onnx", "--data", kData, "-o", "folded.onnx"}).code, 0);
  const testing::Outcome seen = run({"doctor", "new.onnx", "--data", kData, "--part", "test"});
  EXPECT_TRUE(notes_alone(seen.err)) << seen.err;
  EXPECT_NE(seen.out.find("40 "), std::string::npos) << seen.out;
}

TEST_F(OnnxModels, WithOpenExtentsTakeTheShapeOfASample) {
  ModelParts parts;
  parts.nodes = {node_message("BatchNormalization", {"x", "s", "b", "b", "s"}, {"n"}),
                 node_message("GlobalAveragePool", {"n"}, {"p"}),
                 node_message("Flatten", {"p"}, {"f"}),
                 node_message("Gemm", {"f", "w"}, {"y"}, {attribute("transB", std::int64_t{1})})};
  parts.initializers = {{"w", spread({10, 1}, 0, DType::f32)},
                        {"s", Tensor::full({1}, 1)},
                        {"b", Tensor::full({1}, 0)}};
  parts.inputs = {value_message("x", {-1, 1, -1, -1})};
  parts.outputs = {value_message("y", {-1, 10})};
  write_model("m.onnx", parts.bytes());
  expect_fault({"inspect", "m.onnx"}, 1, {"dimension 2 open", "--input"});
  const std::vector<std::string> shape{"--input", "1,28,28"};
  for (std::vector<std::string> words :
       {std::vector<std::string>{"inspect", "m.onnx"},
        {"eval", "m.onnx", "--data", kData},
        {"doctor", "m.onnx", "--no-data"},
        {"export", "m.onnx", "-o", "new.onnx"},
        {"fold", "m.onnx", "-o", "new.onnx"},
        {"recalibrate", "m.onnx", "--data", kData, "-o", "new.onnx"}}) {
    words.insert(words.end(), shape.begin(), shape.end());
    const testing::Outcome outcome = run(words);
    EXPECT_TRUE(outcome.code == 0 || words[0] == "doctor") << words[0] << ": " << outcome.err;
    EXPECT_TRUE(notes_alone(outcome.err)) << words[0] << ": " << outcome.err;
  }
  expect_fault({"inspect", "m.onnx", "--input", "3,28,28"}, 1, {"dimension 1 is 1"});
  expect_fault({"inspect", "m.onnx", "--input", "1,0,28"}, 2, {"--input"});
  train_small();
  expect_fault({"inspect", "a run", "--input", "1,28,28"}, 2, {"--input", "'a run'"});
}

}  // namespace
}  // namespace evenkeel
