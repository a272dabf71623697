// The same function in the forms that operator sets and exporters give it.
#include <gtest/gtest.h>

#include "deploy/onnx_bytes.h"
#include "nn/tensors.h"
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/nn/layers/layer_norm.h>

namespace evenkeel::deploy {
namespace {

using evenkeel::testing::identical;
using evenkeel::testing::max_difference;
using evenkeel::testing::random_tensor;
using testing::attribute;
using testing::Message;
using testing::model_of;
using testing::ModelParts;
using testing::node_message;
using testing::value_message;
using testing::write_file;

using Integers = std::vector<std::int64_t>;

ImportedModel import_parts(const ModelParts& parts) {
  return import_onnx(write_file("forms.onnx", parts.bytes()));
}

TEST(OnnxForms, of_an_odd_padding_of_output_shape_more_is_cut_at_the_beginning_but_for_same_upper) {
  const Tensor x = Tensor::from({1.0F, 10.0F}, {1, 1, 2});  // gives 1 2 13 20 30
  for (const std::int64_t opset : {7, 10, 11, 17}) {
    for (const std::string automatic : {"", "NOTSET", "VALID", "SAME_LOWER", "SAME_UPPER"}) {
      std::vector<Message> attributes{attribute("strides", Integers{2}),
                                      attribute("output_shape", Integers{4})};
      if (!automatic.empty()) {
        attributes.push_back(attribute("auto_pad", std::string_view(automatic)));
      }
      ModelParts parts =
          model_of({node_message("ConvTranspose", {"x", "w"}, {"y"}, attributes)}, {-1, 1, 2});
      parts.opset = opset;
      parts.initializers = {{"w", Tensor::from({1.0F, 2.0F, 3.0F}, {1, 1, 3})}};
      const Tensor wanted = automatic == "SAME_UPPER"
                                ? Tensor::from({1.0F, 2.0F, 13.0F, 20.0F}, {1, 1, 4})
                                : Tensor::from({2.0F, 13.0F, 20.0F, 30.0F}, {1, 1, 4});
      EXPECT_TRUE(identical(import_parts(parts).network->forward(x), wanted))
          << opset << ' ' << automatic;
    }
  }
}

std::vector<std::string> training_norms(std::int64_t opset, const std::vector<std::string>& outputs,
                                        const std::vector<Message>& attributes = {}) {
  ModelParts parts = model_of(
      {node_message("BatchNormalization", {"x", "s", "b", "m", "v"}, outputs, attributes, "norm")},
      {-1, 2});
  parts.opset = opset;
  parts.initializers = {{"s", Tensor::full({2}, 1)},
                        {"b", Tensor::full({2}, 0)},
                        {"m", Tensor::full({2}, 3)},
                        {"v", Tensor::full({2}, 2)}};
  const ImportedModel model = import_parts(parts);
  EXPECT_FALSE(model.network->training());
  return model.training_norms;
}

TEST(OnnxForms, up_to_set_13_further_outputs_put_a_batch_norm_into_training_mode) {
  using Names = std::vector<std::string>;
  for (const std::int64_t opset : {7, 9, 11, 13}) {
    EXPECT_EQ(training_norms(opset, {"y"}), Names{}) << opset;
    EXPECT_EQ(training_norms(opset, {"y", "", "", "", ""}), Names{}) << opset;
    EXPECT_EQ(training_norms(opset, {"y", "m2", "v2", "m3", "v3"}), Names{"norm"}) << opset;
  }
  for (const std::int64_t opset : {14, 17}) {
    const Message training = attribute("training_mode", std::int64_t{1});
    EXPECT_EQ(training_norms(opset, {"y"}), Names{}) << opset;
    EXPECT_EQ(training_norms(opset, {"y", "m2", "v2"}, {training}), Names{"norm"}) << opset;
  }
}

struct Written {
  Integers axes{-1};
  bool squares = false;  ///< Mul(c, c) in place of Pow(c, 2)
  bool twice = false;    ///< the difference is computed for both uses
  bool scale = true, bias = true;
  std::int64_t opset = 14;
};

/// As PyTorch writes it below set 17.
ModelParts layer_norm(const Written& how) {
  std::vector<Message> nodes;
  const auto add = [&](const char* type, const std::vector<std::string>& inputs,
                       const std::string& output, const std::vector<Message>& attributes = {}) {
    nodes.push_back(node_message(type, inputs, {output}, attributes));
  };
  const auto mean = [&](const std::string& input, const std::string& output) {
    if (how.opset >= 18) {
      add("ReduceMean", {input, "axes"}, output);
    } else {
      add("ReduceMean", {input}, output, {attribute("axes", how.axes)});
    }
  };
  mean("x", "mean");
  add("Sub", {"x", "mean"}, "centred");
  if (how.twice) add("Sub", {"x", "mean"}, "again");
  const std::string other = how.twice ? "again" : "centred";
  if (how.squares) {
    add("Mul", {other, other}, "squares");
  } else {
    add("Pow", {other, "two"}, "squares");
  }
  mean("squares", "variance");
  add("Add", {"variance", "eps"}, "shifted");
  add("Sqrt", {"shifted"}, "deviation");
  add("Div", {"centred", "deviation"}, how.scale ? "normalized" : "z");
  if (how.scale) add("Mul", {"normalized", "0.weight"}, how.bias ? "scaled" : "z");
  if (how.bias) add("Add", {"0.bias", "scaled"}, "z");
  add("Identity", {"z"}, "y");
  ModelParts parts = model_of(nodes, {-1, 3, 4});
  parts.opset = how.opset;
  const auto count = static_cast<std::int64_t>(how.axes.size());
  const Shape shape = count == 1 ? Shape{4} : Shape{3, 4};
  parts.initializers = {{"two", Tensor::full({}, 2)},
                        {"eps", Tensor::full({}, 1e-2)},
                        {"axes", Tensor::from(std::span<const std::int64_t>(how.axes), {count})},
                        {"0.weight", random_tensor(shape, 1)},
                        {"0.bias", random_tensor(shape, 2)}};
  return parts;
}

TEST(OnnxForms, a_layer_norm_that_is_written_out_is_one_layer) {
  const Tensor x = random_tensor({5, 3, 4}, 7);
  for (const Written& how :
       {Written{}, Written{.axes = {-2, -1}}, Written{.axes = {2}}, Written{.squares = true},
        Written{.twice = true}, Written{.bias = false}, Written{.scale = false, .bias = false},
        Written{.opset = 7}, Written{.opset = 18}}) {
    const ImportedModel model = import_parts(layer_norm(how));
    ASSERT_EQ(model.network->child_count(), 1U);
    ASSERT_EQ(model.network->child(0).type(), "LayerNorm");
    const Shape shape = how.axes.size() == 1 ? Shape{4} : Shape{3, 4};
    nn::LayerNorm wanted(shape, {.eps = 1e-2, .elementwise_affine = how.scale, .bias = how.bias});
    nn::StateDict state;
    if (how.scale) state.emplace_back("weight", random_tensor(shape, 1));
    if (how.bias) state.emplace_back("bias", random_tensor(shape, 2));
    wanted.load_state_dict(state);
    wanted.eval();
    EXPECT_LE(max_difference(model.network->forward(x), wanted.forward(x)), 1e-6);
    if (how.scale) {
      EXPECT_EQ(model.network->state_dict().front().first, "0.weight");
    }
    // It can be written again.
    const auto path = testing::test_folder() / "forms again.onnx";
    export_onnx(*model.network, {3, 4}, path);
    EXPECT_TRUE(identical(import_onnx(path).network->forward(x), model.network->forward(x)));
  }
}

std::string refusal(const ModelParts& parts) {
  try {
    import_parts(parts);
    return "it is read";
  } catch (const IoError& error) {
    return error.what();
  }
}

TEST(OnnxForms, what_only_resembles_a_layer_norm_is_refused) {
  EXPECT_NE(refusal(layer_norm({.axes = {1}, .scale = false, .bias = false})).find("the last"),
            std::string::npos);
  // The difference goes elsewhere too.
  ModelParts parts = layer_norm({});
  parts.nodes.back() = node_message("Add", {"z", "centred"}, {"y"});
  const std::string message = refusal(parts);
  EXPECT_NE(message.find("the sum of [2, 3, 4] and [2, 3, 1]"), std::string::npos) << message;
  EXPECT_NE(message.find("operator set 17"), std::string::npos) << message;
}

TEST(OnnxForms, a_model_of_doubles_says_so) {
  ModelParts parts = model_of({node_message("Relu", {"x"}, {"y"})}, {-1, 3});
  EXPECT_EQ(import_parts(parts).dtype, DType::f32);
  parts.inputs = {value_message("x", {-1, 3}, 11)};
  EXPECT_EQ(import_parts(parts).dtype, DType::f64);
}

}  // namespace
}  // namespace evenkeel::deploy
