#include <gtest/gtest.h>

#include <evenkeel/nn/describe.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/residual.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::nn {
namespace {

TEST(Describe, lists_every_layer_with_its_shape_and_parameters) {
  Sequential net{Linear(784, 256), ReLU(), Linear(256, 10, {.bias = false})};
  EXPECT_EQ(describe(net, {32, 784}),
            "layer  type    options                                       output     parameters\n"
            "0      Linear  bias=true, in_features=784, out_features=256  [32, 256]      200960\n"
            "1      ReLU                                                  [32, 256]           0\n"
            "2      Linear  bias=false, in_features=256, out_features=10  [32, 10]         2560\n"
            "input [32, 784], 203520 trainable parameters\n");
}

TEST(Describe, enters_containers) {
  Sequential net{Residual(Sequential{Conv2d(2, 4, 1), Conv2d(4, 2, 1)}, ops::ActivationKind::relu)};
  Graph graph;
  graph.add("first", std::make_unique<Sequential>(net)).add("join", Conv2d(2, 3, 3));
  const auto rows = describe_layers(graph, {1, 2, 5, 5});
  std::vector<std::string> paths;
  for (const auto& row : rows) paths.push_back(row.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"", "first", "first.0", "first.0.body",
                                             "first.0.body.0", "first.0.body.1", "join"}));
  EXPECT_EQ(rows[2].options, "activation=relu");
  EXPECT_EQ(rows[4].output, Shape({1, 4, 5, 5}));
  EXPECT_EQ(rows[6].output, Shape({1, 3, 3, 3}));
  EXPECT_EQ(rows[1].parameters, 12 + 10);
}

TEST(Describe, notes_what_was_fused) {
  Sequential net{Linear(2, 2), ReLU()};
  dynamic_cast<Activation&>(net[1]).set_absorbed(true);
  EXPECT_NE(describe(net, {1, 2}).find("fused into the layer before"), std::string::npos);
}

TEST(Describe, refuses_an_input_that_does_not_fit) {
  Sequential net{Linear(2, 2)};
  EXPECT_THROW(describe(net, {1, 3}), ShapeError);
}

}  // namespace
}  // namespace evenkeel::nn
