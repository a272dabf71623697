// Batch norm in place among other layers: whose memory is written over, and whose is not.
#include <utility>

#include <gtest/gtest.h>

#include "nn/gradient_check.h"
#include "nn/in_place.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel {
namespace {

using namespace testing;

/// Hands on a copy that nobody else holds, and notes where it lies.
class Copy : public nn::Cloneable<Copy> {
 public:
  std::string_view type() const override { return "Copy"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override {
    Tensor y = x.clone();
    place = std::as_const(y).raw();
    return y;
  }
  Tensor backward(const Tensor& dy) override { return dy; }
  const void* place = nullptr;
};

/// Notes where its input lies.
class Look : public nn::Cloneable<Look> {
 public:
  std::string_view type() const override { return "Look"; }
  Shape output_shape(const Shape& input) const override { return input; }
  Tensor forward(const Tensor& x) override {
    place = x.raw();
    return x;
  }
  Tensor backward(const Tensor& dy) override { return dy; }
  const void* place = nullptr;
};

/// γ and β that give x̂ back, but for the first channel.
void set_affine(nn::Module& net, bool spoiled) {
  net.visit([&](const std::string&, nn::Module& module) {
    auto* const norm = dynamic_cast<nn::BatchNorm*>(&module);
    if (norm == nullptr) return;
    for (std::int64_t c = 0; c < norm->channels(); ++c) {
      Twins::gamma(*norm)[c] = c % 2 == 0 ? 0.7F : -0.4F;
      Twins::beta(*norm)[c] = 0.3F * static_cast<float>(c) - 0.5F;
    }
    if (spoiled) Twins::gamma(*norm)[0] = 0;
  });
}

TEST(InPlaceNetworks, gradients_agree_with_central_differences) {
  for (const bool leaky : {false, true}) {
    for (const bool spoiled : {false, true}) {
      for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
        for (const nn::BatchNormOptions& options :
             {nn::BatchNormOptions{.in_place = true},
              nn::BatchNormOptions{.ghost_size = 2, .in_place = true},
              nn::BatchNormOptions{.freeze = nn::Freeze::statistics, .in_place = true}}) {
          nn::Sequential net{Copy(), nn::BatchNorm2d(4, options)};
          if (leaky) net.add(nn::LeakyReLU(kSlope));
          net.add(Look());
          set_affine(net, spoiled);
          nn::fuse(net);
          const Tensor x = random_tensor({4, 4, 3, 2}, 5, DType::f64, layout);
          const auto report = testing::check_gradients(net, x);
          EXPECT_LE(report.error, testing::kGradientTolerance) << report.where;
          EXPECT_EQ(dynamic_cast<Look&>(net[net.size() - 1]).place,
                    dynamic_cast<Copy&>(net[0]).place);
        }
      }
    }
  }
}

nn::Sequential branching_net() {
  const auto norm = [](std::int64_t channels) { return nn::BatchNorm2d(channels); };
  nn::Sequential net{
      nn::Conv2d(2, 4, 3, {.padding = 1}),
      norm(4),
      nn::LeakyReLU(kSlope),
      nn::Residual(nn::Sequential{norm(4), nn::LeakyReLU(kSlope), nn::Conv2d(4, 4, 1), norm(4)},
                   ops::ActivationKind::leaky_relu, kSlope),
      nn::Residual(nn::Sequential{norm(4), nn::LeakyReLU(kSlope), nn::Conv2d(4, 4, 1)}),
      nn::Residual(nn::Sequential{norm(4), nn::Conv2d(4, 6, 1)},
                   nn::Sequential{norm(4), nn::LeakyReLU(kSlope), nn::Conv2d(4, 6, 1)})};
  auto concat = std::make_unique<nn::Concat>();
  concat->add(nn::to_owned(nn::Identity()));
  concat->add(nn::to_owned(nn::Sequential{norm(6), nn::LeakyReLU(kSlope)}));
  concat->add(nn::to_owned(nn::Sequential{norm(6), nn::LeakyReLU(kSlope), nn::MaxPool2d(1)}));
  net.add(std::move(concat));
  auto graph = std::make_unique<nn::Graph>();
  graph->add("a", nn::to_owned(norm(18)), "input");
  graph->add("b", nn::to_owned(nn::Sequential{norm(18), nn::LeakyReLU(kSlope)}), "input");
  graph->add_sum("c", {"a", "b", "input"});
  graph->add("d", nn::to_owned(nn::Sequential{norm(18), nn::LeakyReLU(kSlope)}), "c");
  net.add(std::move(graph));
  net.add(nn::GlobalAvgPool());
  net.add(nn::Linear(18, 3));
  net.initialize(4);
  return net;
}

/// Every batch norm with the option.
void ask(nn::Module& net) {
  net.visit([](const std::string&, nn::Module& module) {
    if (auto* const norm = dynamic_cast<nn::BatchNorm*>(&module)) norm->set_in_place(true);
  });
}

TEST(InPlaceNetworks, is_right_in_networks_whose_branches_share_their_input) {
  for (const bool fused : {false, true}) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      for (const nn::Memory memory : {nn::Memory::keep, nn::Memory::normal, nn::Memory::save}) {
        nn::Sequential plain = branching_net();
        if (fused) nn::fuse(plain);
        nn::set_memory(plain, nn::Memory::keep);
        nn::Sequential over(plain);
        ask(over);
        nn::set_memory(over, memory);
        const Tensor x = random_tensor({6, 2, 8, 8}, 1, DType::f64, layout), copy = x.clone();
        plain.to(DType::f64);
        over.to(DType::f64);
        for (const bool train : {true, false}) {
          plain.train(train);
          over.train(train);
          EXPECT_TRUE(identical(over.forward(x), plain.forward(x)));
        }
        EXPECT_TRUE(identical(x, copy));
        const Tensor dy = random_tensor({6, 3}, 3, DType::f64);
        const Tensor expected = plain.backward(dy), dx = over.backward(dy);
        EXPECT_LE(max_difference(dx, expected), 1e-11 * std::max(1.0, largest(expected)));
        for (std::size_t i = 0; i < plain.parameters().size(); ++i) {
          const Tensor& want = plain.parameters()[i].parameter->grad;
          EXPECT_LE(max_difference(over.parameters()[i].parameter->grad, want),
                    1e-11 * std::max(1.0, largest(want)))
              << plain.parameters()[i].name;
        }
      }
    }
  }
}

/// Bytes that one forward leaves behind for backward.
std::size_t kept_by(nn::Sequential& net, const Tensor& x) {
  const std::size_t before = memory_stats().current;
  (void)net.forward(x);
  const std::size_t kept = memory_stats().current - before;
  net.clear_saved();
  return kept;
}

TEST(InPlaceNetworks, keeps_one_tensor_and_no_mask_between_two_convolutions) {
  nn::Sequential net{
      nn::Conv2d(3, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::LeakyReLU(kSlope),
      nn::Conv2d(8, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::LeakyReLU(kSlope)};
  nn::fuse(net);
  const Tensor x = random_tensor({16, 3, 16, 16}, 1);
  const std::size_t one = sizeof(float) * 16 * 8 * 16 * 16;
  nn::set_memory(net, nn::Memory::keep);
  EXPECT_GE(kept_by(net, x), 3 * one);
  ask(net);
  EXPECT_LE(kept_by(net, x), 2 * one + one / 64);
}

TEST(InPlaceNetworks, a_step_takes_one_tensor_beside_the_gradient) {
  Twins twins({.shape = {16, 8, 32, 32}});
  Tensor x = twins.input(), dy = twins.input(2);
  const std::size_t one = x.bytes(), before = memory_stats().current;
  reset_peak_memory();
  (void)twins.over.forward_in_place(std::move(x));
  EXPECT_LE(memory_stats().peak, before + one / 16);
  EXPECT_LE(memory_stats().current, before + one / 64);
  reset_peak_memory();
  const Tensor dx = twins.over.backward_in_place(std::move(dy));
  EXPECT_LE(memory_stats().peak, before + one / 16);
  EXPECT_LE(memory_stats().current, before - one);
}

TEST(InPlaceNetworks, is_what_saving_memory_does_behind_leaky_relu_and_nowhere_else) {
  for (const auto activation :
       {norm::Activation::none, norm::Activation::relu, norm::Activation::leaky_relu}) {
    for (const nn::Memory memory : {nn::Memory::keep, nn::Memory::normal, nn::Memory::save}) {
      nn::BatchNorm2d layer(3);
      layer.fuse_activation(activation, kSlope);
      layer.set_memory(memory);
      Tensor x = random_tensor({4, 3, 2, 2}, 1);
      const void* const place = std::as_const(x).raw();
      const Tensor y = layer.forward_in_place(std::move(x));
      const bool expected =
          memory == nn::Memory::save && activation == norm::Activation::leaky_relu;
      EXPECT_EQ(y.raw() == place, expected);
      EXPECT_EQ(y.recomputation() != nullptr, memory == nn::Memory::save && !expected);
    }
  }
}

TEST(InPlaceNetworks, is_an_option_by_name_that_inspect_shows) {
  const auto layer =
      nn::make_layer("BatchNorm2d", {{"num_features", std::int64_t{3}}, {"in_place", true}});
  EXPECT_TRUE(layer->options().get("in_place", false));
  EXPECT_EQ(layer->mode_note(), "in place");
  const auto copy = layer->clone();
  Tensor x = random_tensor({4, 3, 2, 2}, 1);
  const void* const place = std::as_const(x).raw();
  EXPECT_EQ(copy->forward_in_place(std::move(x)).raw(), place);
}

}  // namespace
}  // namespace evenkeel
