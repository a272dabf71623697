// What can be folded, case by case, and what cannot.
#include <functional>

#include <gtest/gtest.h>

#include "nn/fold_tools.h"
#include "nn/tensors.h"
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using evenkeel::testing::max_difference;
using evenkeel::testing::random_tensor;

using Make = std::function<std::unique_ptr<Module>()>;

struct Case {
  std::string name;
  Shape input;
  std::size_t folded;  ///< layers that go
  Make make;
};

template <class... Layers>
std::unique_ptr<Module> list(Layers&&... layers) {
  return std::make_unique<Sequential>(std::forward<Layers>(layers)...);
}

/// Every combination of the flags that a layer with weights and its batch norm have.
template <class F>
void for_each_choice(std::initializer_list<std::int64_t> groups, F&& f) {
  for (const std::int64_t count : groups) {
    for (const bool bias : {false, true}) {
      for (const bool affine : {false, true}) {
        f(count, bias, BatchNormOptions{.eps = 1e-3, .affine = affine},
          fmt::format(", {} groups{}{}", count, bias ? ", bias" : "", affine ? ", affine" : ""));
      }
    }
  }
}

void add_layers_before(std::vector<Case>& cases) {
  for_each_choice({1, 2, 8}, [&](auto groups, bool bias, auto norm, const std::string& flags) {
    cases.push_back(
        {"Conv1d" + flags, {3, 8, 9}, 1, [=] {
           return list(
               Conv1d(8, 16, 3, {.stride = 2, .padding = 1, .groups = groups, .bias = bias}),
               BatchNorm1d(16, norm));
         }});
    cases.push_back(
        {"Conv2d" + flags, {2, 8, 7, 6}, 1, [=] {
           return list(
               Conv2d(8, 16, Pair(3, 2),
                      {.padding = Pair(1, 0), .dilation = 2, .groups = groups, .bias = bias}),
               BatchNorm2d(16, norm), ReLU());
         }});
    cases.push_back({"ConvTranspose1d" + flags, {3, 8, 5}, 1, [=] {
                       return list(ConvTranspose1d(8, 16, 3,
                                                   {.stride = 2,
                                                    .padding = 1,
                                                    .output_padding = 1,
                                                    .groups = groups,
                                                    .bias = bias}),
                                   BatchNorm1d(16, norm));
                     }});
    cases.push_back({"ConvTranspose2d" + flags, {2, 8, 4, 3}, 1, [=] {
                       return list(ConvTranspose2d(8, 16, Pair(2, 3),
                                                   {.stride = 2, .groups = groups, .bias = bias}),
                                   BatchNorm2d(16, norm), Sigmoid());
                     }});
    cases.push_back(
        {"Conv3d" + flags, {2, 8, 4, 5, 3}, 1, [=] {
           return list(
               Conv3d(8, 16, {2, 3, 1},
                      {.stride = {1, 2, 1}, .padding = {1, 0, 1}, .groups = groups, .bias = bias}),
               BatchNorm3d(16, norm), ReLU());
         }});
    cases.push_back({"ConvTranspose3d" + flags, {2, 8, 2, 3, 2}, 1, [=] {
                       return list(ConvTranspose3d(8, 16, {2, 1, 3},
                                                   {.stride = {1, 2, 2},
                                                    .padding = {0, 0, 1},
                                                    .output_padding = {0, 1, 0},
                                                    .groups = groups,
                                                    .bias = bias}),
                                   BatchNorm3d(16, norm));
                     }});
  });
  for_each_choice({1}, [&](auto, bool bias, auto norm, const std::string& flags) {
    cases.push_back({"Linear" + flags, {4, 6}, 1, [=] {
                       return list(Linear(6, 5, {.bias = bias}), BatchNorm1d(5, norm), Tanh());
                     }});
  });
}

void add_layers_behind(std::vector<Case>& cases) {
  for_each_choice({1, 2, 8}, [&](auto groups, bool bias, auto norm, const std::string& flags) {
    cases.push_back({"before Conv1d" + flags, {3, 8, 9}, 1, [=] {
                       return list(BatchNorm1d(8, norm),
                                   Conv1d(8, 16, 3, {.stride = 2, .groups = groups, .bias = bias}));
                     }});
    cases.push_back({"before Conv2d" + flags, {2, 8, 7, 6}, 1, [=] {
                       return list(ReLU(), BatchNorm2d(8, norm),
                                   Conv2d(8, 16, Pair(3, 2), {.groups = groups, .bias = bias}));
                     }});
    cases.push_back({"before Conv3d" + flags, {2, 8, 4, 5, 3}, 1, [=] {
                       return list(
                           Tanh(), BatchNorm3d(8, norm),
                           Conv3d(8, 16, {2, 3, 1}, {.stride = 2, .groups = groups, .bias = bias}));
                     }});
  });
  for_each_choice({1}, [&](auto, bool bias, auto norm, const std::string& flags) {
    cases.push_back({"before Linear" + flags, {4, 6}, 1, [=] {
                       return list(ReLU(), BatchNorm1d(6, norm), Linear(6, 5, {.bias = bias}));
                     }});
    cases.push_back({"before Flatten and Linear" + flags, {2, 3, 4, 5}, 1, [=] {
                       return list(BatchNorm2d(3, norm), Flatten(), Dropout(0.5),
                                   Linear(60, 5, {.bias = bias}));
                     }});
    cases.push_back({"before the mean and Linear" + flags, {2, 3, 4, 5}, 1, [=] {
                       return list(MaxPool2d(2), BatchNorm2d(3, norm), GlobalAvgPool(),
                                   Linear(3, 5, {.bias = bias}));
                     }});
    cases.push_back({"of volumes, before the mean and Linear" + flags, {2, 3, 4, 5, 3}, 1, [=] {
                       return list(AvgPool3d(2), BatchNorm3d(3, norm), GlobalAvgPool(),
                                   Linear(3, 5, {.bias = bias}));
                     }});
  });
  cases.push_back({"without a shift, before padding", {2, 4, 5, 5}, 1, [] {
                     auto net = list(Scale({4, 1, 1}), Conv2d(4, 3, 3, {.padding = 1}));
                     Tensor weight = net->state_dict().front().second;
                     for (std::int64_t c = 0; c < 4; ++c) {
                       weight.data<float>()[c] = 0.5F + static_cast<float>(c);
                     }
                     return net;
                   }});
}

void add_chains(std::vector<Case>& cases) {
  cases.push_back({"batch norms behind one another", {2, 3, 5, 5}, 3, [] {
                     return list(Conv2d(3, 4, 3), BatchNorm2d(4), Dropout(0.2), BatchNorm2d(4),
                                 Identity(), BatchNorm2d(4, {.affine = false}));
                   }});
  cases.push_back({"batch norms behind one another, before Linear", {4, 6}, 2, [] {
                     return list(BatchNorm1d(6), BatchNorm1d(6), Linear(6, 2));
                   }});
  cases.push_back(
      {"product, sum and batch norm", {4, 6}, 3, [] {
         return list(Linear(6, 5, {.bias = false}), Scale({5}), Shift({1, 5}), BatchNorm1d(5));
       }});
  cases.push_back(
      {"maps of images", {2, 3, 5, 5}, 3, [] {
         return list(Conv2d(3, 4, 3), Scale({4, 1, 1}), BatchNorm2d(4), Shift({1, 1, 1}));
       }});
  cases.push_back({"standardized weights", {2, 3, 5, 5}, 1, [] {
                     return list(Conv2d(3, 4, 3, {.weight_standardization = true}), BatchNorm2d(4));
                   }});
  cases.push_back({"standardized weights of volumes", {2, 3, 3, 4, 3}, 1, [] {
                     return list(Conv3d(3, 4, 2, {.weight_standardization = true}), BatchNorm3d(4));
                   }});
  cases.push_back({"a residual body of volumes", {2, 4, 3, 4, 3}, 2, [] {
                     return list(
                         Conv3d(4, 4, 3, {.padding = 1}), BatchNorm3d(4), ReLU(),
                         Residual(Sequential{Conv3d(4, 4, 3, {.padding = 1}), BatchNorm3d(4)},
                                  ops::ActivationKind::relu),
                         MaxPool3d(2));
                   }});
  cases.push_back({"renormalized", {2, 3, 5, 5}, 1, [] {
                     return list(Conv2d(3, 4, 3), BatchRenorm2d(4), ReLU());
                   }});
  cases.push_back({"nested containers", {2, 3, 6, 6}, 5, [] {
                     return list(
                         Sequential{Conv2d(3, 4, 3, {.padding = 1})}, Sequential{BatchNorm2d(4)},
                         ReLU(),
                         Residual(Sequential{Conv2d(4, 4, 1), BatchNorm2d(4)},
                                  Sequential{Conv2d(4, 4, 1, {.bias = false}), BatchNorm2d(4)},
                                  ops::ActivationKind::relu),
                         Concat{Sequential{Conv2d(4, 2, 1), BatchNorm2d(2)},
                                Sequential{MaxPool2d(3, {.stride = 1, .padding = 1}),
                                           BatchNorm2d(4), Conv2d(4, 2, 1)}});
                   }});
  cases.push_back({"a graph", {2, 3, 6, 6}, 3, [] {
                     Graph net;
                     net.add("stem", Conv2d(3, 4, 3)).add("stem_norm", BatchNorm2d(4));
                     net.add("left", Conv2d(4, 4, 1), "stem_norm").add("left_norm", BatchNorm2d(4));
                     net.add_sum("sum", {"left_norm", "stem_norm"});
                     net.add("norm", BatchNorm2d(4)).add("mean", GlobalAvgPool());
                     net.add("head", Linear(4, 2));
                     return std::make_unique<Graph>(std::move(net));
                   }});
}

std::vector<Case> foldable_cases() {
  std::vector<Case> cases;
  add_layers_before(cases);
  add_layers_behind(cases);
  add_chains(cases);
  return cases;
}

std::size_t batch_norms_of(Module& network) {
  std::size_t count = 0;
  network.visit([&](const std::string&, Module& module) {
    count += dynamic_cast<BatchNorm*>(&module) != nullptr ? 1U : 0U;
  });
  return count;
}

TEST(FoldCases, AllGiveTheSameOutputsInBothLayouts) {
  const std::vector<Case> cases = foldable_cases();
  ASSERT_GE(cases.size(), 60U);
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const std::unique_ptr<Module> network = one.make();
    testing::disturb(*network);
    network->eval();
    const std::unique_ptr<Module> exact = network->clone();
    exact->to(DType::f64);
    const FoldReport report = fold_norms(*network);
    EXPECT_EQ(report.folded.size(), one.folded);
    EXPECT_TRUE(report.kept.empty()) << report.kept.front().reason;
    EXPECT_EQ(batch_norms_of(*network), 0U);
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      const Tensor x = random_tensor(one.input, 5, DType::f32, layout);
      const Tensor wanted = exact->forward(x.to(DType::f64));
      const double size = max_difference(wanted, Tensor::zeros(wanted.shape(), DType::f64));
      EXPECT_GT(size, 0);
      EXPECT_LE(max_difference(network->forward(x), wanted), 1e-5 * size);
      const std::unique_ptr<Module> fast = network->clone();
      fold(*fast);
      EXPECT_LE(max_difference(fast->forward(x), wanted), 1e-5 * size);
    }
  }
}

TEST(FoldCases, WhatWouldChangeTheFunctionStaysAndSaysWhy) {
  const auto graph = [](auto&& build) {
    Graph net;
    build(net);
    return std::make_unique<Graph>(std::move(net));
  };
  struct Refusal {
    std::string reason;
    Shape input;
    Make make;
  };
  const std::vector<Refusal> refusals = {
      {"pads with zeros",
       {2, 3, 5, 5},
       [] { return list(BatchNorm2d(3), Conv2d(3, 4, 3, {.padding = 1})); }},
      {"pads with zeros",
       {2, 3, 3, 4, 3},
       [] {
         return list(BatchNorm3d(3), Conv3d(3, 4, 3, {.padding = {0, 0, 1}}));
       }},
      {"fewer taps at its borders",
       {2, 3, 5, 5},
       [] { return list(BatchNorm2d(3), ConvTranspose2d(3, 4, 3)); }},
      {"fewer taps at its borders",
       {2, 3, 3, 2, 2},
       [] { return list(BatchNorm3d(3), ConvTranspose3d(3, 4, 2)); }},
      {"ReLU 1 comes between",
       {2, 3, 5, 5},
       [] { return list(BatchNorm2d(3), ReLU(), Conv2d(3, 4, 1)); }},
      {"it follows ReLU 1", {4, 6}, [] { return list(Linear(6, 5), ReLU(), BatchNorm1d(5)); }},
      {"goes to other layers too",
       {2, 3, 4, 4},
       [&] {
         return graph([](Graph& net) {
           net.add("conv", Conv2d(3, 3, 1)).add("norm", BatchNorm2d(3));
           net.add_sum("sum", {"conv", "norm"});
         });
       }},
      {"goes to 2 places",
       {2, 3, 4, 4},
       [&] {
         return graph([](Graph& net) {
           net.add("norm", BatchNorm2d(3)).add("a", Conv2d(3, 4, 1));
           net.add("b", Conv2d(3, 4, 1), "norm").add_sum("sum", {"a", "b"});
         });
       }},
      {"it follows a sum of branches",
       {2, 3, 4, 4},
       [] { return list(Residual(Sequential{Conv2d(3, 3, 1)}), BatchNorm2d(3), ReLU()); }},
      {"it follows branches put side by side",
       {2, 3, 4, 4},
       [] {
         return list(Concat{Conv2d(3, 2, 1), Conv2d(3, 2, 1)}, BatchNorm2d(4), Tanh());
       }},
      {"the batch's own",
       {4, 6},
       [] { return list(Linear(6, 5), BatchNorm1d(5, {.track_running_stats = false})); }},
      {"nothing with a weight comes behind",
       {2, 3, 4, 4},
       [] { return list(MaxPool2d(2), BatchNorm2d(3)); }},
      {"stands at the network's input", {2, 3}, [] { return list(BatchNorm1d(3), ReLU()); }},
      {"keeps its parts",
       {2, 4, 5},
       [] { return list(EncoderLayer(4, 2, {.norm = "batch", .dropout = 0})); }},
  };
  for (const Refusal& one : refusals) {
    SCOPED_TRACE(one.reason);
    const std::unique_ptr<Module> network = one.make();
    testing::disturb(*network);
    network->eval();
    const Tensor x = random_tensor(one.input, 5, DType::f32, Layout::channels_first);
    const Tensor wanted = network->forward(x);
    const FoldReport report = fold_norms(*network);
    EXPECT_TRUE(report.folded.empty());
    ASSERT_FALSE(report.kept.empty());
    EXPECT_NE(report.kept.front().reason.find(one.reason), std::string::npos)
        << report.kept.front().reason;
    EXPECT_EQ(max_difference(network->forward(x), wanted), 0);
  }
}

TEST(FoldCases, ARemainingMapOfEveryElementIsNoMapOfChannels) {
  const std::unique_ptr<Module> network = list(Linear(6, 5), Shift({3, 5}), BatchNorm1d(5));
  EXPECT_EQ(fold_norms(*network).kept.size(), 1U);
  EXPECT_EQ(network->child(1).type(), "Shift");
}

TEST(FoldCases, PaddedSequencesStayPadded) {
  const std::unique_ptr<Module> network =
      list(Conv1d(3, 8, 3, {.padding = 1}), BatchNorm1d(8), Conv1d(8, 4, 3, {.padding = 1}));
  testing::disturb(*network);
  network->eval();
  const Tensor x = random_tensor({2, 3, 8}, 1, DType::f32, Layout::channels_first);
  const std::unique_ptr<Module> folded = network->clone();
  EXPECT_EQ(fold_norms(*folded).folded.size(), 1U);
  EXPECT_EQ(folded->child(1).type(), "ValidSteps");
  for (Module* one : {network.get(), folded.get()}) one->set_lengths(Lengths({8, 5}));
  EXPECT_LE(max_difference(folded->forward(x), network->forward(x)), 1e-5);
}

}  // namespace
}  // namespace evenkeel::nn
