// Batch norm that writes its result over its input and has x̂ back from it.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/gradient_check.h"
#include "nn/table_cases.h"
#include "nn/tensors.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/nn/layers/batch_renorm.h>
#include <evenkeel/nn/nn.h>
#include <evenkeel/ops/elementwise.h>

namespace evenkeel {
namespace {

using testing::identical;
using testing::max_difference;
using testing::random_tensor;

constexpr double kSlope = 0.1;

/// The bits of one channel of [N, C, …].
Tensor channel_of(const Tensor& x, std::int64_t c) {
  const Tensor first = x.to(Layout::channels_first);
  const std::int64_t n = x.dim(0), channels = x.dim(1), s = x.numel() / (n * channels);
  Tensor result = Tensor::empty({n, s}, x.dtype());
  const std::size_t bytes = static_cast<std::size_t>(s) * size_of(x.dtype());
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(static_cast<std::byte*>(result.raw()) + static_cast<std::size_t>(i) * bytes,
                static_cast<const std::byte*>(first.raw()) +
                    static_cast<std::size_t>(i * channels + c) * bytes,
                bytes);
  }
  return result;
}

double largest(const Tensor& x) { return max_difference(x, Tensor::zeros(x.shape(), x.dtype())); }

struct Form {
  Shape shape{6, 5, 7, 3};
  DType dtype = DType::f32;
  Layout layout = Layout::channels_first;
  norm::Activation activation = norm::Activation::leaky_relu;
  nn::BatchNormOptions options = {};
  bool eval = false;
};

std::vector<Form> forms() {
  std::vector<Form> result;
  const std::vector<nn::BatchNormOptions> variants{{},
                                                   {.eps = 1e-3, .momentum = std::nullopt},
                                                   {.affine = false},
                                                   {.track_running_stats = false},
                                                   {.unbiased = false, .ghost_size = 2},
                                                   {.freeze = nn::Freeze::statistics},
                                                   {.freeze = nn::Freeze::affine}};
  for (const Shape& shape : {Shape{6, 5, 7, 3}, Shape{33, 17, 1, 1}, Shape{4, 70, 9, 5}}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
        for (const auto activation : {norm::Activation::none, norm::Activation::leaky_relu}) {
          for (const nn::BatchNormOptions& options : variants) {
            result.push_back({shape, dtype, layout, activation, options, false});
          }
          result.push_back({shape, dtype, layout, activation, {}, true});
        }
      }
    }
  }
  return result;
}

/// An ordinary layer and one in place, of equal state.
struct Twins {
  explicit Twins(const Form& wanted = {})
      : form(wanted),
        plain(form.shape[1], form.options),
        over(form.shape[1], in_place(form.options)) {
    for (nn::BatchNorm2d* layer : {&plain, &over}) {
      if (form.options.affine) {
        const std::int64_t c = form.shape[1];
        for (std::int64_t i = 0; i < c; ++i) {
          // |γ| from 0.2 to 1.7, of either sign; |β| up to 1.5.
          const double t = static_cast<double>(i) / static_cast<double>(c);
          gamma(*layer)[i] = static_cast<float>((i % 3 == 1 ? -1 : 1) * (0.2 + 1.5 * t));
          beta(*layer)[i] = static_cast<float>(3 * std::fmod(t * 7.3, 1.0) - 1.5);
        }
      }
      layer->to(form.dtype);
      layer->fuse_activation(form.activation, kSlope);
      layer->eval();
      layer->keep_for_backward();
      layer->train(!form.eval);
    }
  }

  static nn::BatchNormOptions in_place(nn::BatchNormOptions options) {
    options.in_place = true;
    return options;
  }
  static float* gamma(nn::Module& layer) {
    return layer.parameters()[0].parameter->value.data<float>();
  }
  static float* beta(nn::Module& layer) {
    return layer.parameters()[1].parameter->value.data<float>();
  }
  Tensor input(std::uint64_t seed = 1) const {
    return random_tensor(form.shape, seed, form.dtype, form.layout);
  }
  const Tensor& gradient(nn::Module& layer, std::size_t i) const {
    return layer.parameters()[i].parameter->grad;
  }

  Form form;
  nn::BatchNorm2d plain, over;
};

/// What the document promises beside the ordinary layer's gradients, of their largest values.
double tolerance_of(DType dtype) { return dtype == DType::f64 ? 1e-14 : 1e-6; }

void expect_close(const Tensor& got, const Tensor& wanted, double scale, const std::string& what) {
  EXPECT_LE(max_difference(got, wanted), tolerance_of(got.dtype()) * std::max(scale, 1.0)) << what;
}

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

// ---- In networks ----

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

TEST(InPlace, gradients_agree_with_central_differences) {
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

TEST(InPlace, is_right_in_networks_whose_branches_share_their_input) {
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

TEST(InPlace, keeps_one_tensor_and_no_mask_between_two_convolutions) {
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

TEST(InPlace, a_step_takes_one_tensor_beside_the_gradient) {
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

TEST(InPlace, is_what_saving_memory_does_behind_leaky_relu_and_nowhere_else) {
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

TEST(InPlace, is_an_option_by_name_that_inspect_shows) {
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
