// Folded networks against the same networks in eval mode.
#include <gtest/gtest.h>

#include "nn/fold_tools.h"
#include "nn/tensors.h"
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using evenkeel::testing::max_difference;
using evenkeel::testing::random_tensor;
using testing::disturb;

/// Folds a copy in f32 and one in f64; both must give what the network gives in double.
FoldReport expect_same_function(Module& network, const Shape& input) {
  disturb(network);
  network.eval();
  FoldReport report;
  const std::unique_ptr<Module> exact = network.clone();
  exact->to(DType::f64);
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    const Tensor x = random_tensor(input, 5, DType::f64, layout);
    const Tensor wanted = exact->forward(x);
    const double largest = max_difference(wanted, Tensor::zeros(wanted.shape(), DType::f64));
    for (const DType dtype : {DType::f32, DType::f64}) {
      const std::unique_ptr<Module> folded = network.clone();
      folded->to(dtype);
      report = fold(*folded);
      const Tensor y = folded->forward(x.to(dtype));
      EXPECT_LE(max_difference(y, wanted), (dtype == DType::f32 ? 1e-5 : 1e-12) * largest);
      EXPECT_LE(max_difference(folded->clone()->forward(x.to(dtype)), y), 1e-6 * largest);
    }
  }
  return report;
}

TEST(Fold, ConvolutionsOfEveryKind) {
  for (const bool bias : {false, true}) {
    for (const bool affine : {false, true}) {
      for (const std::int64_t groups : {1, 2, 4}) {
        const BatchNormOptions norm{.affine = affine};
        Sequential net{Conv2d(4, 8, 3, {.stride = 2, .padding = 1, .groups = groups, .bias = bias}),
                       BatchNorm2d(8, norm), LeakyReLU(0.1)};
        const FoldReport report = expect_same_function(net, {2, 4, 7, 6});
        EXPECT_EQ(report.folded, (std::vector<FoldReport::Folded>{{"1", "0"}}));
        EXPECT_EQ(report.activations, 1);
        Sequential line{Conv1d(4, 8, 3, {.groups = groups, .bias = bias}), BatchNorm1d(8, norm)};
        EXPECT_EQ(expect_same_function(line, {3, 4, 9}).folded.size(), 1U);
      }
    }
  }
}

TEST(Fold, LinearLayersAndWhatStandsBehindThem) {
  for (const bool bias : {false, true}) {
    Sequential net{Linear(6, 5, {.bias = bias}), BatchNorm1d(5), Tanh(), Linear(5, 3),
                   BatchNorm1d(3, {.affine = false})};
    EXPECT_EQ(expect_same_function(net, {4, 6}).folded,
              (std::vector<FoldReport::Folded>{{"1", "0"}, {"4", "3"}}));
  }
}

TEST(Fold, ResidualSumsAreDoneByTheLastConvolution) {
  Sequential net{
      Conv2d(3, 8, 3, {.padding = 1, .bias = false}),
      BatchNorm2d(8),
      ReLU(),
      Residual(Sequential{Conv2d(8, 8, 3, {.padding = 1}), BatchNorm2d(8), ReLU(),
                          Conv2d(8, 8, 3, {.padding = 1}), BatchNorm2d(8)},
               ops::ActivationKind::relu),
      Residual(Sequential{Conv2d(8, 16, 3, {.stride = 2, .padding = 1}), BatchNorm2d(16)},
               Sequential{Conv2d(8, 16, 1, {.stride = 2}), BatchNorm2d(16)},
               ops::ActivationKind::relu),
      Residual(Sequential{Conv2d(16, 16, 1), BatchNorm2d(16)}, ops::ActivationKind::leaky_relu,
               0.25),
      GlobalAvgPool(),
      Linear(16, 4)};
  const FoldReport report = expect_same_function(net, {2, 3, 8, 8});
  EXPECT_EQ(report.folded.size(), 6U);
  EXPECT_EQ(report.activations, 2);
  EXPECT_EQ(report.sums, 3);
  EXPECT_TRUE(report.kept.empty());
}

TEST(Fold, StandardizedWeightsAreFoldedAsTheyAct) {
  Sequential net{Conv2d(3, 4, 3, {.weight_standardization = true}), BatchNorm2d(4)};
  EXPECT_EQ(expect_same_function(net, {1, 3, 5, 5}).folded.size(), 1U);
}

TEST(Fold, TwiceIsAsOnce) {
  Sequential net{Conv2d(3, 8, 3), BatchNorm2d(8), LeakyReLU(0.5),
                 Residual(Sequential{Conv2d(8, 8, 1), BatchNorm2d(8)}, ops::ActivationKind::relu)};
  disturb(net);
  fold(net);
  const Tensor x = random_tensor({2, 3, 5, 5}, 1);
  const Tensor once = net.forward(x);
  const FoldReport again = fold(net);
  EXPECT_TRUE(again.folded.empty() && again.kept.empty());
  EXPECT_EQ(max_difference(net.forward(x), once), 0);
  unfuse(net);
  EXPECT_EQ(max_difference(net.forward(x), once), 0);
}

TEST(Fold, PaddingStaysZero) {
  Sequential net{Conv1d(3, 8, 3, {.padding = 1}), BatchNorm1d(8), ReLU(),
                 Conv1d(8, 4, 3, {.padding = 1}), BatchNorm1d(4)};
  disturb(net);
  net.eval();
  const Tensor x = random_tensor({2, 3, 8}, 1);
  net.set_lengths(Lengths({8, 5}));
  const Tensor wanted = net.forward(x);
  const std::unique_ptr<Module> folded = net.clone();
  EXPECT_EQ(fold(*folded).folded.size(), 2U);
  folded->set_lengths(Lengths({8, 5}));
  EXPECT_LE(max_difference(folded->forward(x), wanted), 1e-5);
  dynamic_cast<BatchNorm1d&>(net[1]).set_mask(Tensor::from<std::uint8_t>({1, 0}, {1, 2}));
  EXPECT_EQ(fold(net).kept.size(), 1U) << "a mask";
}

TEST(Fold, WhatDoesNotFitIsLeftAlone) {
  Sequential channels{Conv2d(3, 64, 3), BatchNorm2d(8)};
  EXPECT_NE(fold(channels).kept.at(0).reason.find("64 channels"), std::string::npos);
  Sequential rank{Linear(6, 5), BatchNorm2d(5)};
  EXPECT_EQ(fold(rank).kept.size(), 1U);
  Residual alone{BatchNorm2d(3)};
  EXPECT_EQ(fold(alone).kept.size(), 1U);
}

TEST(Fold, AFoldedNetworkRefusesToTrain) {
  Sequential net{Conv2d(3, 4, 1), BatchNorm2d(4), ReLU()};
  fold(net);
  const Tensor x = random_tensor({1, 3, 4, 4}, 1);
  EXPECT_NO_THROW(net.forward(x));
  EXPECT_THROW(net[0].backward(x), StateError);
  net.train();
  EXPECT_THROW(net.forward(x), StateError);
}

TEST(Fold, TakesFusionBack) {
  Sequential net{Conv2d(3, 8, 3),
                 BatchNorm2d(8),
                 ReLU(),
                 Residual(Sequential{Conv2d(8, 8, 1), BatchNorm2d(8)}, ops::ActivationKind::relu),
                 GlobalAvgPool(),
                 Linear(8, 4),
                 BatchNorm1d(4),
                 ReLU()};
  disturb(net);
  net.eval();
  const Tensor x = random_tensor({2, 3, 5, 5}, 1);
  const Tensor wanted = net.forward(x);
  EXPECT_GT(fuse(net), 0);
  const std::unique_ptr<Module> apart = net.clone();
  unfuse(*apart);
  EXPECT_EQ(max_difference(apart->forward(x), wanted), 0);
  EXPECT_EQ(fuse(*apart), 3);
  const FoldReport report = fold(net);
  EXPECT_EQ(report.folded.size(), 3U);
  EXPECT_EQ(report.sums, 1);
  EXPECT_LE(max_difference(net.forward(x), wanted), 1e-5);
}

}  // namespace
}  // namespace evenkeel::nn
