// ONNX models that evenkeel did not write: other outputs, probabilities, unknown inputs.
#include <cmath>
#include <limits>

#include "command.h"
#include "deploy/onnx_bytes.h"

namespace evenkeel {
namespace {

using deploy::testing::attribute;
using deploy::testing::Message;
using deploy::testing::node_message;
using deploy::testing::value_message;
using nlohmann::json;

const std::string kData = "glyphs:train=64,test=50";

class ForeignModel : public testing::CommandLine {
 protected:
  /// Of images [1, 28, 28]: Flatten, a linear map to `outputs`, and what `ends` adds to the value
  /// "z" to make "y", which has the dimensions given.
  void write_model(std::int64_t outputs, const std::vector<Message>& ends,
                   const std::vector<std::int64_t>& dims, float bias = 0) {
    Tensor weight = Tensor::zeros({outputs, 784}), shift = Tensor::full({outputs}, bias);
    float* value = weight.data<float>();
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      value[i] = 0.05F * std::sin(static_cast<float>(i % 997));
    }
    deploy::testing::ModelParts parts;
    parts.nodes = {
        node_message("Flatten", {"x"}, {"f"}),
        node_message("Gemm", {"f", "w", "b"}, {"z"}, {attribute("transB", std::int64_t{1})})};
    parts.nodes.insert(parts.nodes.end(), ends.begin(), ends.end());
    parts.initializers = {{"w", weight}, {"b", shift}};
    parts.inputs = {value_message("x", {-1, 1, 28, 28})};
    parts.outputs = {value_message(ends.empty() ? "z" : "y", dims)};
    testing::write_text(folder() / "m.onnx", parts.bytes());
  }
  void SetUp() override {
    std::string image = "P5 28 28 255\n";
    for (int i = 0; i < 784; ++i) image += static_cast<char>(i * 5 % 256);
    testing::write_text(folder() / "x.pgm", image);
  }
  std::vector<json> top(std::int64_t count) {
    const json result =
        run_json({"predict", "m.onnx", "x.pgm", "--top", std::to_string(count), "--json"});
    return result["predictions"][0]["top"];
  }
};

Message last(const std::string& type) { return node_message(type, {"z"}, {"y"}); }

TEST_F(ForeignModel, an_output_that_is_no_score_per_class_is_refused) {
  for (const auto& [ends, dims] :
       {std::pair(node_message("Transpose", {"z"}, {"y"}), std::vector<std::int64_t>{10, -1}),
        std::pair(node_message("ReduceMean", {"z"}, {"y"},
                               {attribute("axes", std::vector<std::int64_t>{1}),
                                attribute("keepdims", std::int64_t{0})}),
                  std::vector<std::int64_t>{-1}),
        std::pair(node_message("Pow", {"x", "two"}, {"y"}),
                  std::vector<std::int64_t>{-1, 1, 28, 28})}) {
    write_model(10, {node_message("Constant", {}, {"two"}, {attribute("value_float", 2.0)}), ends},
                dims);
    expect_fault({"predict", "m.onnx", "x.pgm"}, 1, {"[predict]", "not one score per class"});
    expect_fault({"eval", "m.onnx", "--data", kData}, 1, {"[eval]", "not one score per class"});
  }
}

TEST_F(ForeignModel, a_softmax_at_the_end_is_not_applied_twice) {
  write_model(10, {}, {-1, 10});
  const std::vector<json> logits = top(10);
  const json of_logits = run_json({"eval", "m.onnx", "--data", kData, "--json"});
  write_model(10, {last("Softmax")}, {-1, 10});
  const std::vector<json> probabilities = top(10);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(probabilities[i]["class"], logits[i]["class"]);
    EXPECT_NEAR(probabilities[i]["probability"].get<double>(),
                logits[i]["probability"].get<double>(), 1e-6);
  }
  const json of_probabilities = run_json({"eval", "m.onnx", "--data", kData, "--json"});
  EXPECT_NEAR(of_probabilities["loss"].get<double>(), of_logits["loss"].get<double>(), 1e-5);
  EXPECT_EQ(of_probabilities["accuracy"], of_logits["accuracy"]);
  // What is written keeps its Softmax.
  ASSERT_EQ(run({"export", "m.onnx", "-o", "again.onnx"}).code, 0);
  EXPECT_EQ(run_json({"inspect", "again.onnx", "--json"})["layers"].back()["type"], "Softmax");
}

TEST_F(ForeignModel, sigmoids_are_probabilities_as_they_are) {
  write_model(10, {last("Sigmoid")}, {-1, 10}, 3);
  double sum = 0;
  for (const json& one : top(10)) sum += one["probability"].get<double>();
  EXPECT_GT(sum, 2);
  const json several = run_json({"eval", "m.onnx", "--data", kData, "--json"});
  EXPECT_LT(several["loss"].get<double>(), 2);  // log 10 = 2.3 were they logits
  write_model(1, {last("Sigmoid")}, {-1, 1}, -2);
  const std::vector<json> two = top(2);
  EXPECT_NEAR(two[0]["probability"].get<double>() + two[1]["probability"].get<double>(), 1, 1e-9);
  write_model(1, {last("Sigmoid")}, {-1, 1}, 30);
  EXPECT_EQ(top(2)[0]["class"], 1);
  write_model(1, {last("Sigmoid")}, {-1, 1}, -30);
  EXPECT_EQ(top(2)[0]["class"], 0);
  expect_fault({"eval", "m.onnx", "--data", kData}, 1, {"knows 2 classes", "has 10"});
  write_model(1, {}, {-1, 1});
  expect_fault({"predict", "m.onnx", "x.pgm"}, 1, {"one output and no Sigmoid"});
}

TEST_F(ForeignModel, no_class_is_named_where_outputs_are_not_finite) {
  for (const float bias :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    write_model(10, {}, {-1, 10}, bias);
    const testing::Outcome text = run({"predict", "m.onnx", "x.pgm"});
    EXPECT_EQ(text.code, 1);
    EXPECT_NE(text.out.find("none"), std::string::npos) << text.out;
    EXPECT_EQ(text.out.find("nan"), std::string::npos) << text.out;
    EXPECT_NE(text.err.find("[predict] the outputs of 1 of 1 samples are not finite"),
              std::string::npos)
        << text.err;
    const testing::Outcome outcome = run({"predict", "m.onnx", "x.pgm", "--top", "2", "--json"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(json::parse(outcome.out)["predictions"][0]["class"], nullptr);
  }
}

/// A run's model without what evenkeel writes of its inputs.
class ForgetfulModel : public testing::CommandLine {
 protected:
  const std::string data_ = "glyphs:train=320,test=100";

  void SetUp() override {
    train_small({"--net", "convnet", "--epochs", "6"});
    ASSERT_EQ(run({"export", "a run", "-o", "whole.onnx"}).code, 0);
    std::string bytes = testing::read_text(folder() / "whole.onnx");
    const std::string key = "evenkeel.recipe";
    ASSERT_NE(bytes.find(key), std::string::npos);
    bytes[bytes.find(key)] = 'x';
    testing::write_text(folder() / "m.onnx", bytes);
    whole_ = run_json({"eval", "whole.onnx", "--data", data_, "--json"});
    for (const char* part : {"mean", "std"}) {
      inputs_.push_back(std::string("--") + part);
      inputs_.push_back(fmt::format("{}", whole_["normalization"][part][0].get<double>()));
    }
  }
  std::vector<std::string> with_inputs(std::vector<std::string> words) const {
    words.insert(words.end(), inputs_.begin(), inputs_.end());
    return words;
  }
  static bool is_noted(const testing::Outcome& outcome) {
    return outcome.err.find("does not say how inputs are normalized") != std::string::npos;
  }

  json whole_;
  std::vector<std::string> inputs_;
};

TEST_F(ForgetfulModel, unknown_inputs_are_noted_and_can_be_said) {
  const std::vector<std::string> words{"eval", "m.onnx", "--data", data_, "--json"};
  const testing::Outcome silent = run(words);
  EXPECT_TRUE(is_noted(silent)) << silent.err;
  EXPECT_EQ(json::parse(silent.out)["normalization"], nullptr);
  const testing::Outcome said = run(with_inputs(words));
  EXPECT_EQ(said.err, "");
  EXPECT_NEAR(json::parse(said.out)["loss"].get<double>(), whole_["loss"].get<double>(), 1e-6);
  expect_fault(with_inputs({"eval", "whole.onnx", "--data", data_}), 2,
               {"says how its inputs are normalized"});
  expect_fault({"eval", "m.onnx", "--data", data_, "--mean", "0", "--std", "0"}, 2,
               {"[eval] --std must be"});
}

TEST_F(ForgetfulModel, what_is_written_says_what_was_said_and_nothing_more) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"export", "m.onnx", "-o", "new.onnx"},
        {"fold", "m.onnx", "-o", "new.onnx", "--data", data_},
        {"recalibrate", "m.onnx", "-o", "new.onnx", "--data", data_}}) {
    EXPECT_TRUE(is_noted(run(words))) << words[0];
    EXPECT_TRUE(is_noted(run({"eval", "new.onnx", "--data", data_}))) << words[0];
    const testing::Outcome said = run(with_inputs(words));
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_FALSE(is_noted(said)) << words[0];
    EXPECT_EQ(run({"eval", "new.onnx", "--data", data_}).err, "") << words[0];
  }
}

TEST_F(ForgetfulModel, the_doctor_says_that_inputs_may_be_the_reason) {
  const auto remedies = [&](const std::vector<std::string>& words) {
    std::string text;
    const json report = json::parse(run(words).out);
    for (const json& one : report["findings"]) {
      if (one["name"] == "mode-gap" || one["name"] == "far-apart-statistics") {
        text += one["remedy"].get<std::string>() + "\n";
      }
    }
    return text;
  };
  const std::vector<std::string> words{"doctor", "m.onnx", "--data", data_, "--json"};
  EXPECT_NE(remedies(words).find("give --mean and --std"), std::string::npos) << remedies(words);
  EXPECT_EQ(remedies(with_inputs(words)).find("--mean"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel
