// What the ONNX reader makes of models beyond single operators.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "deploy/onnx_bytes.h"
#include "nn/tensors.h"
#include <evenkeel/deploy/onnx.h>
#include <evenkeel/deploy/onnx_export.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/pool.h>

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

Tensor integers(const Integers& values) {
  return Tensor::from(std::span<const std::int64_t>(values),
                      {static_cast<std::int64_t>(values.size())});
}

ImportedModel import_parts(const ModelParts& parts, const ImportOptions& options = {}) {
  return import_onnx(write_file("import.onnx", parts.bytes()), options);
}

/// x.view(x.size(0), -1), as PyTorch writes it.
std::vector<Message> flattening() {
  return {node_message("Shape", {"x"}, {"shape"}),
          node_message("Gather", {"shape", "zero"}, {"n"}, {attribute("axis", std::int64_t{0})}),
          node_message("Unsqueeze", {"n", "axes"}, {"n1"}),
          node_message("Concat", {"n1", "rest"}, {"target"}, {attribute("axis", std::int64_t{0})}),
          node_message("Reshape", {"x", "target"}, {"y"})};
}

TEST(OnnxImport, shape_arithmetic_with_a_free_batch_leaves_the_batch_free) {
  ModelParts parts = model_of(flattening(), {-1, 2, 3});
  parts.initializers = {{"zero", Tensor::from({std::int64_t{0}}, {})},
                        {"axes", integers({0})},
                        {"rest", integers({-1})}};
  const ImportedModel model = import_parts(parts);
  EXPECT_FALSE(model.batch.has_value());
  for (const std::int64_t n : {1, 2, 5}) {
    const Tensor x = random_tensor({n, 2, 3}, 1);
    EXPECT_TRUE(identical(model.network->forward(x), x.reshape({n, 6})));
  }
}

TEST(OnnxImport, a_model_of_one_batch_takes_any_where_nothing_depends_on_it) {
  const ImportedModel free = import_parts(model_of(
      {node_message("Flatten", {"x"}, {"y"}, {attribute("axis", std::int64_t{1})})}, {4, 2, 3}));
  EXPECT_FALSE(free.batch.has_value());
  EXPECT_EQ(free.network->forward(random_tensor({7, 2, 3}, 1)).shape(), (Shape{7, 6}));

  ModelParts parts = model_of({node_message("Reshape", {"x", "target"}, {"y"})}, {4, 2, 3});
  parts.initializers = {{"target", integers({2, 12})}};
  const ImportedModel fixed = import_parts(parts);
  EXPECT_EQ(fixed.batch, 4);
  EXPECT_EQ(fixed.network->forward(random_tensor({4, 2, 3}, 1)).shape(), (Shape{2, 12}));
}

TEST(OnnxImport, reshapes_that_undo_each_other_leave_no_layer) {
  ModelParts parts = model_of({node_message("GlobalAveragePool", {"x"}, {"pooled"}),
                               node_message("Flatten", {"pooled"}, {"y"})},
                              {-1, 3, 4, 4});
  const ImportedModel model = import_parts(parts);
  EXPECT_EQ(model.network->child_count(), 1U);
  EXPECT_EQ(model.network->child(0).type(), "GlobalAvgPool");
}

TEST(OnnxImport, group_normalization_has_parameters_per_group_up_to_set_20_then_per_channel) {
  const Tensor x = random_tensor({2, 4, 3}, 1);
  const auto built = [&](std::int64_t opset, std::initializer_list<float> scale) {
    ModelParts parts = model_of({node_message("GroupNormalization", {"x", "scale", "bias"}, {"y"},
                                              {attribute("num_groups", std::int64_t{2})})},
                                {-1, 4, 3});
    parts.opset = opset;
    const auto count = static_cast<std::int64_t>(scale.size());
    parts.initializers = {
        {"scale", Tensor::from(std::span<const float>(scale.begin(), scale.size()), {count})},
        {"bias", Tensor::zeros({count})}};
    return import_parts(parts).network->forward(x);
  };
  const Tensor grouped = built(18, {2, 3});
  EXPECT_TRUE(identical(grouped, built(20, {2, 3})));
  EXPECT_TRUE(identical(grouped, built(21, {2, 2, 3, 3})));
  EXPECT_THROW(built(21, {2, 3}), IoError);
  EXPECT_THROW(built(18, {2, 2, 3, 3}), IoError);
  EXPECT_THROW(built(17, {2, 3}), IoError);
}

TEST(OnnxImport, momentum_is_one_minus_onnx_s_and_the_variance_is_biased_unless_pytorch_wrote_it) {
  for (const std::string producer : {"", "pytorch"}) {
    ModelParts parts = model_of({node_message("BatchNormalization", {"x", "s", "b", "m", "v"},
                                              {"y"}, {attribute("momentum", 0.75)})},
                                {-1, 3, 2, 2});
    parts.producer = producer;
    parts.initializers = {{"s", Tensor::full({3}, 1)},
                          {"b", Tensor::full({3}, 0)},
                          {"m", Tensor::full({3}, 0)},
                          {"v", Tensor::full({3}, 1)}};
    const ImportedModel model = import_parts(parts);
    const auto& norm = dynamic_cast<const nn::BatchNorm&>(model.network->child(0));
    EXPECT_EQ(norm.settings().momentum, 0.25);
    EXPECT_EQ(norm.settings().unbiased, producer == "pytorch");
    EXPECT_FALSE(model.network->training());
  }
}

/// The largest of each window of a row, as ceil_mode defines it.
TEST(OnnxImport, pools_with_ceil_mode_take_the_last_part_of_a_window) {
  const Tensor x = Tensor::from({1.0F, -2.0F, 3.0F, -4.0F, -5.0F}, {1, 1, 5});
  const auto pooled = [&](const char* type, const std::vector<Message>& more) {
    std::vector<Message> attributes{attribute("kernel_shape", Integers{2}),
                                    attribute("strides", Integers{2}),
                                    attribute("ceil_mode", std::int64_t{1})};
    attributes.insert(attributes.end(), more.begin(), more.end());
    const ImportedModel model =
        import_parts(model_of({node_message(type, {"x"}, {"y"}, attributes)}, {-1, 1, 5}));
    const Tensor y = model.network->forward(x);
    return std::vector<float>(y.span<float>().begin(), y.span<float>().end());
  };
  EXPECT_EQ(pooled("MaxPool", {}), (std::vector<float>{1, 3, -5}));
  EXPECT_EQ(pooled("AveragePool", {}), (std::vector<float>{-0.5, -0.5, -5}));
  EXPECT_EQ(pooled("AveragePool", {attribute("count_include_pad", std::int64_t{1}),
                                   attribute("pads", Integers{1, 1})}),
            (std::vector<float>{0.5, 0.5, -4.5}));
}

TEST(OnnxImport, constants_that_are_no_initializers_are_not_trained) {
  ModelParts parts = model_of({node_message("Mul", {"x", "weight"}, {"scaled"}),
                               node_message("Neg", {"scale"}, {"negative"}),
                               node_message("Mul", {"scaled", "negative"}, {"y"})},
                              {-1, 3});
  parts.initializers = {{"weight", Tensor::full({3}, 2)}, {"scale", Tensor::full({3}, 3)}};
  const ImportedModel model = import_parts(parts);
  EXPECT_EQ(model.network->parameters().size(), 1U);
  EXPECT_EQ(model.network->buffers().size(), 1U);
  EXPECT_EQ(model.network->forward(Tensor::full({1, 3}, 1)).data<float>()[0], -6);
}

TEST(OnnxImport, the_named_output_is_computed_and_nothing_that_only_others_need) {
  ModelParts parts = model_of(
      {node_message("Relu", {"x"}, {"y"}), node_message("Frobnicate", {"x"}, {"other"})}, {-1, 3});
  parts.outputs.push_back(value_message("other", {-1, 3}));
  const ImportedModel model = import_parts(parts);
  EXPECT_EQ(model.output, "y");
  EXPECT_EQ(model.other_outputs, std::vector<std::string>{"other"});
  EXPECT_THROW(import_parts(parts, {.output = "other"}), IoError);
  EXPECT_THROW(import_parts(parts, {.output = "yy"}), IoError);
}

TEST(OnnxImport, layers_are_called_after_their_weights) {
  ModelParts parts = model_of({node_message("Conv", {"x", "layer1.0.conv.weight"}, {"y"},
                                            {attribute("kernel_shape", Integers{1, 1})})},
                              {-1, 1, 2, 2});
  parts.initializers = {{"layer1.0.conv.weight", Tensor::full({1, 1, 1, 1}, 2)}};
  const ImportedModel model = import_parts(parts);
  EXPECT_EQ(model.network->state_dict().front().first, "layer1/0/conv.weight");
}

TEST(OnnxImport, what_is_computed_from_constants_is_bounded) {
  std::vector<Message> nodes;
  for (int i = 0; i < 100; ++i) {
    nodes.push_back(node_message("ConstantOfShape", {"size"}, {"c" + std::to_string(i)}));
  }
  std::string sum = "x";
  for (int i = 0; i < 100; ++i) {
    const std::string next = i == 99 ? "y" : "s" + std::to_string(i);
    nodes.push_back(node_message("Add", {sum, "c" + std::to_string(i)}, {next}));
    sum = next;
  }
  ModelParts parts = model_of(nodes, {-1, std::int64_t{1} << 22});
  parts.initializers = {{"size", integers({std::int64_t{1} << 30})}};
  EXPECT_THROW(import_parts(parts), IoError);
}

TEST(OnnxImport, the_largest_of_every_map_is_a_max_pool_of_any_rank) {
  for (const Integers& extents : {Integers{5}, Integers{3, 4}, Integers{2, 3, 4}}) {
    Integers dims{2, 3};
    dims.insert(dims.end(), extents.begin(), extents.end());
    const ImportedModel model =
        import_parts(model_of({node_message("GlobalMaxPool", {"x"}, {"y"})}, dims));
    const Tensor x = random_tensor(Shape(std::span<const std::int64_t>(dims)), 1);
    const Tensor y = model.network->forward(x);
    ASSERT_EQ(y.numel(), 6);
    EXPECT_EQ(y.rank(), x.rank());
    const std::int64_t positions = x.numel() / 6;
    for (std::int64_t map = 0; map < 6; ++map) {
      const float* const values = x.data<float>() + map * positions;
      EXPECT_EQ(y.data<float>()[map], *std::max_element(values, values + positions));
    }
  }
}

/// With ceil_mode and pads that do not count, in three dimensions: each output is the mean of what
/// its window holds of the input.
TEST(OnnxImport, averages_of_volumes_count_what_their_windows_hold) {
  const ImportedModel model =
      import_parts(model_of({node_message("AveragePool", {"x"}, {"y"},
                                          {attribute("kernel_shape", Integers{2, 3, 2}),
                                           attribute("strides", Integers{2, 1, 2}),
                                           attribute("pads", Integers{1, 0, 0, 0, 2, 0}),
                                           attribute("ceil_mode", std::int64_t{1})})},
                            {-1, 1, 2, 3, 3}));
  const Tensor y = model.network->forward(Tensor::full({1, 1, 2, 3, 3}, 7));
  EXPECT_EQ(y.shape(), (Shape{1, 1, 2, 3, 2}));
  EXPECT_LE(max_difference(y, Tensor::full(y.shape(), 7)), 1e-5);
}

/// Windows of any geometry have as many outputs as the format says, and survive being written.
RC_GTEST_PROP(OnnxImportProperty, windows_of_any_geometry, ()) {
  const std::string type = *rc::gen::element<std::string>("Conv", "MaxPool", "AveragePool");
  const bool pool = type != "Conv";
  const bool ceil = pool && *rc::gen::arbitrary<bool>();
  const auto spatial = *rc::gen::inRange<std::size_t>(1, 4);
  Integers kernel, stride, before, after, dims{2, 2}, weight{3, 2}, wanted{2, pool ? 2 : 3};
  bool fits = true;
  for (std::size_t d = 0; d < spatial; ++d) {
    kernel.push_back(*rc::gen::inRange<std::int64_t>(1, spatial == 3 ? 4 : 5));
    stride.push_back(*rc::gen::inRange<std::int64_t>(1, 4));
    before.push_back(*rc::gen::inRange<std::int64_t>(0, kernel[d]));
    after.push_back(*rc::gen::inRange<std::int64_t>(0, kernel[d]));
    const auto extent = *rc::gen::inRange<std::int64_t>(1, spatial == 1 ? 10 : 7);
    dims.push_back(extent);
    weight.push_back(kernel[d]);
    const std::int64_t room = extent + before[d] + after[d] - kernel[d];
    fits = fits && room >= 0;
    std::int64_t outputs = (ceil ? room + stride[d] - 1 : room) / stride[d] + 1;
    if (ceil && (outputs - 1) * stride[d] >= extent + before[d]) --outputs;
    wanted.push_back(outputs);
  }
  Integers pads = before;
  pads.insert(pads.end(), after.begin(), after.end());
  std::vector<Message> attributes{attribute("kernel_shape", kernel), attribute("strides", stride),
                                  attribute("pads", pads)};
  if (pool) attributes.push_back(attribute("ceil_mode", std::int64_t{ceil ? 1 : 0}));
  if (type == "AveragePool") {
    attributes.push_back(
        attribute("count_include_pad", std::int64_t{*rc::gen::arbitrary<bool>() ? 1 : 0}));
  }
  std::vector<std::string> inputs{"x"};
  if (!pool) inputs.emplace_back("w");
  const auto shape_of = [](const Integers& list) {
    return Shape(std::span<const std::int64_t>(list));
  };
  Integers open = dims;
  open[0] = -1;
  ModelParts parts = model_of({node_message(type, inputs, {"y"}, attributes)}, open);
  if (!pool) parts.initializers = {{"w", random_tensor(shape_of(weight), 1)}};
  if (!fits) {
    RC_ASSERT_THROWS_AS(import_parts(parts), IoError);
    return;
  }
  const ImportedModel model = import_parts(parts);
  const Tensor x = random_tensor(shape_of(dims), 2);
  const Tensor y = model.network->forward(x);
  RC_ASSERT(y.shape() == shape_of(wanted));
  const auto again = testing::test_folder() / "window.onnx";
  export_onnx(*model.network, model.sample, again);
  RC_ASSERT(identical(import_onnx(again).network->forward(x), y));
}

}  // namespace
}  // namespace evenkeel::deploy
