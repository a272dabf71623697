// How values go through nested containers.
#include <gtest/gtest.h>

#include "nn/tensors.h"
#include <evenkeel/nn/flow.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using Kind = FlowStep::Kind;

/// "layer 1 <- 0" and the like, one for each step behind the input.
std::vector<std::string> told(const Flow& flow) {
  std::vector<std::string> lines;
  for (std::size_t i = 1; i < flow.size(); ++i) {
    const FlowStep& step = flow[i];
    std::string line = step.kind == Kind::layer    ? std::string(step.module->type())
                       : step.kind == Kind::sum    ? "sum"
                       : step.kind == Kind::concat ? "concat"
                                                   : "product";
    for (const std::size_t input : step.inputs) line += " " + std::to_string(input);
    lines.push_back(line);
  }
  return lines;
}

TEST(Flow, GoesThroughNestedContainers) {
  Sequential net{Conv2d(3, 4, 1), Sequential{BatchNorm2d(4), Sequential{}},
                 Residual(Sequential{ReLU(), Conv2d(4, 4, 1)}, ops::ActivationKind::relu),
                 Concat{Sequential{}, MaxPool2d(1)}, Flatten()};
  const Flow flow(net);
  EXPECT_EQ(told(flow),
            (std::vector<std::string>{"Conv2d 0", "BatchNorm2d 1", "ReLU 2", "Conv2d 3", "sum 4 2",
                                      "MaxPool2d 5", "concat 5 6", "Flatten 7"}));
  EXPECT_EQ(flow.output(), 8U);
  EXPECT_EQ(flow[2].users, (std::vector<std::size_t>{3, 5}));
  EXPECT_TRUE(flow[8].users.empty());
}

TEST(Flow, LeavesOutWhatAGraphDoesNotNeed) {
  Graph net;
  net.add("a", Linear(3, 3)).add("unused", ReLU()).add("b", Linear(3, 3), "input");
  net.add_sum("s", {"a", "b"}).add_product("p", {"s", "a"});
  const Flow flow(net);
  EXPECT_EQ(told(flow),
            (std::vector<std::string>{"Linear 0", "Linear 0", "sum 1 2", "product 3 1"}));
}

TEST(Flow, ANetworkMayBeOneLayerOrNone) {
  Linear layer(2, 3);
  Flow flow(layer);
  EXPECT_EQ(flow.output(), 1U);
  EXPECT_EQ(flow[1].owner, nullptr);
  EXPECT_THROW(flow.replace(1, std::make_unique<Identity>()), UsageError);
  Sequential empty;
  EXPECT_EQ(Flow(empty).output(), 0U);
}

TEST(Flow, ReplacesInTheNetwork) {
  Graph net;
  net.add("inner", Sequential{Linear(2, 2), ReLU()});
  Flow flow(net);
  flow.replace(1, std::make_unique<Identity>());
  EXPECT_EQ(flow[1].module->type(), "Identity");
  EXPECT_EQ(net.child(0).child(0).type(), "Identity");
  const Tensor x = testing::random_tensor({3, 2}, 1, DType::f32, Layout::channels_first);
  EXPECT_EQ(net.forward(x).shape(), x.shape());
  EXPECT_THROW(net.replace(7, std::make_unique<Identity>()), UsageError);
  EncoderLayer encoder(4, 2);
  EXPECT_THROW(encoder.replace(0, std::make_unique<Identity>()), UsageError);
}

}  // namespace
}  // namespace evenkeel::nn
