// Batch norm that writes its result over its input and has x̂ back from it.
#include "nn/in_place.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include "nn/table_cases.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/nn/layers/batch_renorm.h>
#include <evenkeel/nn/nn.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel {
namespace {

using namespace testing;

TEST(InPlace, has_the_result_and_the_statistics_of_the_ordinary_layer_to_the_bit) {
  for (const Form& form : forms()) {
    Twins twins(form);
    for (const std::uint64_t seed : {1u, 2u}) {
      const Tensor expected = twins.plain.forward(twins.input(seed));
      Tensor x = twins.input(seed);
      const void* const place = std::as_const(x).raw();
      const Tensor y = twins.over.forward_in_place(std::move(x));
      const bool few = form.options.ghost_size > 0 && form.shape[2] == 1;
      EXPECT_EQ(y.raw() == place, !few);
      EXPECT_TRUE(identical(y, expected));
    }
    for (std::size_t i = 0; i < twins.plain.buffers().size(); ++i) {
      EXPECT_TRUE(
          identical(twins.over.buffers()[i].buffer->value, twins.plain.buffers()[i].buffer->value))
          << twins.plain.buffers()[i].name;
    }
  }
}

TEST(InPlace, has_the_gradients_of_the_ordinary_layer) {
  for (const Form& form : forms()) {
    Twins twins(form);
    const Tensor dy = random_tensor(form.shape, 9, form.dtype, form.layout);
    for (const bool given : {false, true}) {
      (void)twins.plain.forward(twins.input());
      (void)twins.over.forward_in_place(twins.input());
      const Tensor expected = twins.plain.backward(dy);
      const Tensor dx = given ? twins.over.backward_in_place(dy.clone()) : twins.over.backward(dy);
      EXPECT_EQ(dx.layout(), form.layout);
      expect_close(dx, expected, largest(expected), "dx");
    }
    const double values = static_cast<double>(2 * dy.numel() / form.shape[1]);
    for (std::size_t i = 0; i < twins.plain.parameters().size(); ++i) {
      expect_close(twins.gradient(twins.over, i), twins.gradient(twins.plain, i), values,
                   twins.plain.parameters()[i].name);
    }
  }
}

/// The largest error of dx, as part of the largest dx, and of dγ, as part of the values per
/// channel: beside a layer in double.
std::pair<double, double> errors_of(nn::BatchNorm2d& layer, nn::BatchNorm2d& exact, const Tensor& x,
                                    const Tensor& dy) {
  exact.zero_grad();
  (void)exact.forward(x.to(DType::f64));
  const Tensor expected = exact.backward(dy.to(DType::f64));
  layer.zero_grad();
  (void)layer.forward_in_place(x.clone());
  const Tensor dx = layer.backward(dy);
  const auto gradient = [](nn::Module& of) { return of.parameters()[0].parameter->grad; };
  const auto values = static_cast<double>(x.numel() / x.dim(1));
  return {max_difference(dx, expected) / largest(expected),
          max_difference(gradient(layer), gradient(exact)) / values};
}

TEST(InPlace, gradients_are_nearly_as_exact_as_those_of_the_ordinary_layer) {
  for (const auto activation : {norm::Activation::none, norm::Activation::leaky_relu}) {
    for (const float ratio : {0.F, 1.F, 4.F, 8.F}) {
      for (const float scale : {1.F, 1e-3F, 1e3F}) {
        Twins twins({.shape = {64, 16, 16, 16}, .activation = activation});
        for (nn::BatchNorm2d* layer : {&twins.plain, &twins.over}) {
          for (std::int64_t c = 0; c < 16; ++c) {
            const float gamma = scale * (1 + 0.0625F * static_cast<float>(c));
            Twins::gamma(*layer)[c] = c % 2 == 0 ? gamma : -gamma;
            Twins::beta(*layer)[c] = c % 3 == 0 ? ratio * gamma : -ratio * gamma;
          }
        }
        auto exact = twins.plain.clone();
        exact->to(DType::f64);
        Tensor dy = random_tensor(twins.form.shape, 9);
        const Tensor x = twins.input();
        ops::accumulate(x, dy);  // so that dγ is more than noise
        auto& reference = dynamic_cast<nn::BatchNorm2d&>(*exact);
        // The bounds of docs/memory.md.
        const auto [ordinary_dx, ordinary_dgamma] = errors_of(twins.plain, reference, x, dy);
        EXPECT_LE(ordinary_dx, 2e-7) << ratio << " " << scale;
        EXPECT_LE(ordinary_dgamma, 1e-7) << ratio << " " << scale;
        const auto [dx, dgamma] = errors_of(twins.over, reference, x, dy);
        EXPECT_LE(dx, 3e-7) << ratio << " " << scale;
        EXPECT_LE(dgamma, 1.5e-7) << ratio << " " << scale;
      }
    }
  }
}

TEST(InPlace, x_hat_comes_back_with_19_bits) {
  for (const auto activation : {norm::Activation::none, norm::Activation::leaky_relu}) {
    for (const float ratio : {0.F, 1.F, 8.F}) {
      Twins twins({.shape = {32, 8, 4, 4}, .activation = activation});
      for (std::int64_t c = 0; c < 8; ++c) {
        const float gamma = 0.3F + 0.1F * static_cast<float>(c);
        Twins::gamma(twins.over)[c] = c % 2 == 0 ? gamma : -gamma;
        Twins::beta(twins.over)[c] = c % 3 == 0 ? ratio * gamma : -ratio * gamma;
      }
      nn::BatchNorm2d plain(8, {.affine = false});
      const Tensor exact = plain.forward(twins.input().to(DType::f64));
      for (std::int64_t i = 0; i < 128; ++i) {
        // With a gradient of 1 at one place, dγ is x̂ there, or slope·x̂.
        const std::int64_t sample = i / 16 * 4, s = i % 16;
        Tensor dy = Tensor::zeros(twins.form.shape);
        for (std::int64_t c = 0; c < 8; ++c) dy.data<float>()[(sample * 8 + c) * 16 + s] = 1;
        twins.over.zero_grad();
        const Tensor y = twins.over.forward_in_place(twins.input());
        (void)twins.over.backward(dy);
        for (std::int64_t c = 0; c < 8; ++c) {
          const std::int64_t at = (sample * 8 + c) * 16 + s;
          const double wanted = exact.data<double>()[at];
          const bool passed = activation == norm::Activation::none || y.data<float>()[at] > 0;
          const auto got = static_cast<double>(twins.gradient(twins.over, 0).data<float>()[c]);
          EXPECT_NEAR(passed ? got : got / kSlope, wanted,
                      0x1p-19 * std::max(1.0, std::abs(wanted)))
              << ratio << " " << at;
        }
      }
    }
  }
}

/// The channels that do not give x̂ back, and why.
void spoil(Twins& twins, const std::vector<std::pair<std::int64_t, std::pair<float, float>>>& to) {
  for (nn::BatchNorm2d* layer : {&twins.plain, &twins.over}) {
    for (const auto& [c, values] : to) {
      Twins::gamma(*layer)[c] = values.first;
      Twins::beta(*layer)[c] = values.second;
    }
  }
}

TEST(InPlace, keeps_x_of_channels_whose_gamma_is_too_small_and_their_bits_with_it) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<float, float>> bad{{0.F, 0.F},    {0.F, 0.5F},  {1e-20F, 0.F},
                                                 {-1e-3F, 1.F}, {0.5F, 1e4F}, {nan, 0.F},
                                                 {1.F, nan},    {1e20F, 0.F}};
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (const auto activation : {norm::Activation::none, norm::Activation::leaky_relu}) {
      for (const std::int64_t ghosts : {0, 2}) {
        Twins twins({.shape = {6, 40, 5, 3},
                     .layout = layout,
                     .activation = activation,
                     .options = {.ghost_size = ghosts}});
        std::vector<std::pair<std::int64_t, std::pair<float, float>>> where;
        for (std::size_t i = 0; i < bad.size(); ++i) {
          where.emplace_back(static_cast<std::int64_t>(5 * i + 1), bad[i]);
        }
        spoil(twins, where);
        const Tensor y = twins.plain.forward(twins.input());
        const Tensor over = twins.over.forward_in_place(twins.input());
        const Tensor dy = random_tensor(twins.form.shape, 9, DType::f32, layout);
        const Tensor expected = twins.plain.backward(dy), dx = twins.over.backward(dy);
        for (std::int64_t c = 0; c < 40; ++c) {
          EXPECT_TRUE(identical(channel_of(over, c), channel_of(y, c))) << c;
          if (c % 5 == 1) {
            EXPECT_TRUE(identical(channel_of(dx, c), channel_of(expected, c))) << c;
            for (const std::size_t i : {0u, 1u}) {
              EXPECT_EQ(
                  0, std::memcmp(twins.gradient(twins.over, i).data<float>() + c,
                                 twins.gradient(twins.plain, i).data<float>() + c, sizeof(float)))
                  << i << " of " << c;
            }
          } else {
            const Tensor want = channel_of(expected, c);
            expect_close(channel_of(dx, c), want, largest(want), fmt::format("dx of {}", c));
          }
        }
      }
    }
  }
}

TEST(InPlace, has_the_same_bits_with_any_number_of_threads) {
  const int before = max_threads();
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    std::vector<Tensor> expected;
    for (const int threads : {1, 2, 3, 8}) {
      set_max_threads(threads);
      Twins twins({.shape = {12, 40, 33, 17}, .layout = layout, .options = {.ghost_size = 5}});
      spoil(twins, {{7, {0, 1}}, {39, {1e-3F, 1}}});
      (void)twins.over.forward_in_place(twins.input());
      const Tensor dx = twins.over.backward(random_tensor(twins.form.shape, 9, DType::f32, layout));
      const std::vector<Tensor> got{dx, twins.gradient(twins.over, 0),
                                    twins.gradient(twins.over, 1)};
      if (expected.empty()) expected = got;
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(identical(got[i], expected[i])) << i;
    }
  }
  set_max_threads(before);
}

TEST(InPlace, is_the_ordinary_layer_where_many_channels_would_be_kept) {
  Twins twins({.shape = {6, 8, 5, 3}});
  spoil(twins, {{0, {0, 0}}, {3, {0, 0}}, {5, {0, 0}}});
  const Tensor x = twins.input();
  Tensor given = x.clone();
  const void* const place = std::as_const(given).raw();
  const Tensor y = twins.over.forward_in_place(std::move(given));
  EXPECT_NE(y.raw(), place);
  EXPECT_TRUE(identical(y, twins.plain.forward(x)));
  const Tensor dy = random_tensor(x.shape(), 9);
  EXPECT_TRUE(identical(twins.over.backward(dy), twins.plain.backward(dy)));
  for (const std::size_t i : {0u, 1u}) {
    EXPECT_TRUE(identical(twins.gradient(twins.over, i), twins.gradient(twins.plain, i)));
  }
}

TEST(InPlace, leaves_an_x_alone_that_others_hold) {
  Twins twins;
  const Tensor x = twins.input(), copy = x.clone();
  const Tensor view = x.reshape({6, 5, 21});
  const Tensor y = twins.over.forward_in_place(x);
  EXPECT_TRUE(identical(x, copy));
  (void)twins.plain.forward(x);
  const Tensor dy = random_tensor(x.shape(), 9);
  EXPECT_TRUE(identical(twins.over.backward(dy), twins.plain.backward(dy)));
  Tensor given = x.clone();
  const Tensor part = given.slice(1, 2);
  EXPECT_TRUE(identical(twins.over.forward_in_place(std::move(given)), y));
  EXPECT_TRUE(identical(part, copy.slice(1, 2)));
  (void)twins.over.forward(x);
  EXPECT_TRUE(identical(x, copy));
}

TEST(InPlace, leaves_a_y_alone_that_others_hold) {
  for (const auto activation : {norm::Activation::none, norm::Activation::leaky_relu}) {
    for (const bool kept : {false, true}) {
      Twins twins({.activation = activation});
      if (kept) spoil(twins, {{2, {0, 1}}});
      const Tensor y = twins.over.forward_in_place(twins.input());
      const Tensor copy = y.clone();
      const Tensor dy = random_tensor(y.shape(), 9);
      (void)twins.plain.forward(twins.input());
      const Tensor expected = twins.plain.backward(dy);
      const Tensor dx = twins.over.backward_in_place(dy.clone());
      EXPECT_TRUE(identical(y, copy));
      expect_close(dx, expected, largest(expected), "dx");
      const Tensor again = twins.over.forward_in_place(twins.input());
      expect_close(twins.over.backward(dy), expected, largest(expected), "dx");
      EXPECT_TRUE(identical(again, copy));
    }
  }
}

TEST(InPlace, takes_back_several_forwards_with_the_gamma_and_beta_of_each) {
  Twins twins;
  const Tensor dy = random_tensor(twins.form.shape, 9);
  std::vector<Tensor> expected;
  for (const std::uint64_t seed : {1u, 2u, 3u})
    (void)twins.over.forward_in_place(twins.input(seed));
  // x̂ is that of forward; dx goes by the γ of now, as that of the ordinary layer does.
  for (const std::uint64_t seed : {1u, 2u, 3u}) (void)twins.plain.forward(twins.input(seed));
  spoil(twins, {{1, {2.F, -3.F}}});
  for (int i = 0; i < 3; ++i) {
    const Tensor want = twins.plain.backward(dy);
    expect_close(twins.over.backward(dy), want, largest(want), "dx");
  }
  EXPECT_THROW(twins.over.backward(dy), StateError);
}

TEST(InPlace, spoils_no_other_channel_with_values_that_are_not_finite) {
  for (const float value :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Twins twins;
    Tensor x = twins.input(), other = twins.input();
    x.data<float>()[2 * 21 + 4] = value;  // sample 0, channel 2
    (void)twins.over.forward_in_place(std::move(x));
    const Tensor dy = random_tensor(twins.form.shape, 9);
    const Tensor dx = twins.over.backward(dy);
    (void)twins.over.forward_in_place(std::move(other));
    const Tensor clean = twins.over.backward(dy);
    for (std::int64_t c = 0; c < 5; ++c) {
      if (c == 2) {
        EXPECT_TRUE(std::isnan(dx.data<float>()[2 * 21]));
      } else {
        EXPECT_TRUE(identical(channel_of(dx, c), channel_of(clean, c))) << c;
      }
    }
  }
}

TEST(InPlace, is_the_ordinary_layer_behind_relu_and_behind_a_sum) {
  for (const bool add : {false, true}) {
    Twins twins({.activation = add ? norm::Activation::leaky_relu : norm::Activation::relu});
    Tensor x = twins.input();
    const void* const place = std::as_const(x).raw();
    const Tensor other = random_tensor(x.shape(), 4);
    if (add) {
      twins.plain.set_addend(other);
      twins.over.set_addend(other);
    }
    const Tensor y = twins.over.forward_in_place(std::move(x));
    EXPECT_NE(y.raw(), place);
    EXPECT_TRUE(identical(y, twins.plain.forward(twins.input())));
    const Tensor dy = random_tensor(y.shape(), 9);
    EXPECT_TRUE(identical(twins.over.backward(dy), twins.plain.backward(dy)));
  }
}

TEST(InPlace, is_the_ordinary_layer_with_slopes_that_lose_digits) {
  for (const double slope : {1e-30, 1e30}) {
    Twins twins;
    twins.over.fuse_activation(norm::Activation::leaky_relu, slope);
    Tensor x = twins.input();
    const void* const place = std::as_const(x).raw();
    EXPECT_NE(twins.over.forward_in_place(std::move(x)).raw(), place);
  }
}

TEST(InPlace, is_the_ordinary_layer_with_few_values_per_channel) {
  for (const auto& [samples, ghosts] : {std::pair{8, 0}, {9, 0}, {18, 9}, {18, 8}, {11, 9}}) {
    Twins twins({.shape = {samples, 5, 1, 1}, .options = {.ghost_size = ghosts}});
    Tensor x = twins.input();
    const void* const place = std::as_const(x).raw();
    const bool over = twins.over.forward_in_place(std::move(x)).raw() == place;
    EXPECT_EQ(over, (samples == 9 || ghosts == 9) && samples != 11) << samples << " " << ghosts;
  }
}

TEST(InPlace, is_the_ordinary_layer_for_bf16_and_padded_sequences) {
  nn::BatchNorm2d half(3, {.affine = false, .in_place = true});
  Tensor x = random_tensor({4, 3, 2, 2}, 1, DType::bf16);
  const void* place = std::as_const(x).raw();
  EXPECT_NE(half.forward_in_place(std::move(x)).raw(), place);

  nn::BatchNorm1d plain(3), over(3, {.in_place = true});
  for (nn::BatchNorm1d* layer : {&plain, &over}) {
    layer->fuse_activation(norm::Activation::leaky_relu, kSlope);
    layer->set_lengths(nn::Lengths({5, 2}));
  }
  Tensor sequences = random_tensor({2, 3, 5}, 1);
  place = std::as_const(sequences).raw();
  const Tensor expected = plain.forward(sequences);
  const Tensor y = over.forward_in_place(std::move(sequences));
  EXPECT_NE(y.raw(), place);
  EXPECT_TRUE(identical(y, expected));
  const Tensor dy = random_tensor({2, 3, 5}, 9);
  EXPECT_TRUE(identical(over.backward(dy), plain.backward(dy)));
}

TEST(InPlace, is_refused_by_renormalized_layers) {
  const std::string message =
      testing::message_of<UsageError>([] { nn::BatchRenorm2d(3, {.in_place = true}); });
  EXPECT_NE(message.find("in_place is for batch norm"), std::string::npos) << message;
}

TEST(InPlace, writes_over_what_it_is_given_in_evaluation_whatever_is_behind) {
  for (const auto activation :
       {norm::Activation::none, norm::Activation::relu, norm::Activation::leaky_relu}) {
    Twins twins({.activation = activation});
    for (nn::BatchNorm2d* layer : {&twins.plain, &twins.over}) {
      layer->keep_for_backward(false);
      layer->eval();
    }
    Tensor x = twins.input();
    const void* const place = std::as_const(x).raw();
    const std::size_t before = memory_stats().current;
    const Tensor y = twins.over.forward_in_place(std::move(x));
    EXPECT_EQ(y.raw(), place);
    EXPECT_EQ(memory_stats().current, before);
    EXPECT_TRUE(identical(y, twins.plain.forward(twins.input())));
  }
}

TEST(InPlace, an_error_leaves_the_layer_as_it_was) {
  Twins twins;
  spoil(twins, {{2, {0, 1}}});
  const testing::Snapshot before(twins.over);
  Tensor y;
  const std::int64_t failed = testing::fail_each_allocation(
      [&] {
        Tensor x = twins.input();
        y = twins.over.forward_in_place(std::move(x));
      },
      [&] {
        EXPECT_EQ(before.difference(), "");
        EXPECT_THROW(twins.over.backward(random_tensor(twins.form.shape, 9)), StateError);
      });
  EXPECT_GT(failed, 4);
  const Tensor dy = random_tensor(twins.form.shape, 9);
  (void)twins.plain.forward(twins.input());
  const Tensor expected = twins.plain.backward(dy);
  for (const bool held : {true, false}) {
    const testing::Snapshot settled(twins.over);
    Tensor dx;
    EXPECT_GT(testing::fail_each_allocation([&] { dx = twins.over.backward(dy); },
                                            [&] { EXPECT_EQ(settled.difference(), ""); }),
              0);
    expect_close(dx, expected, largest(expected), "dx");
    y = Tensor();
    if (held) (void)twins.over.forward_in_place(twins.input());
  }
}

}  // namespace
}  // namespace evenkeel
