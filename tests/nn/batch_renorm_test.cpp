// Batch renormalization.
#include <gtest/gtest.h>

#include "nn/errors.h"
#include "nn/exact_norm.h"
#include "nn/gradient_check.h"
#include "nn/table_cases.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/nn/nn.h>

namespace evenkeel::nn {
namespace {

using testing::disturb_affine;
using testing::exact_norm;
using testing::ExactNorm;
using testing::identical;
using testing::max_difference;
using testing::message_of;
using testing::normal_tensor;
using testing::NormStep;
using testing::random_tensor;
using testing::Snapshot;

constexpr Layout kLayouts[] = {Layout::channels_first, Layout::channels_last};
/// Limits that hold from the first batch on.
constexpr RenormOptions at_once(double r_max, double d_max) {
  return {.r_max = r_max, .d_max = d_max, .ramp_begin = 0, .ramp_end = 0};
}

Tensor buffer_of(Module& layer, std::string_view wanted) {
  for (const auto& [name, buffer] : layer.buffers()) {
    if (name == wanted) return buffer->value;
  }
  throw std::runtime_error("no such buffer");
}

/// Running statistics near `mean` and 1, different in each channel.
void set_statistics(Module& layer, double mean, std::int64_t batches) {
  Tensor means = buffer_of(layer, "running_mean");
  Tensor vars = buffer_of(layer, "running_var");
  for (std::int64_t c = 0; c < means.numel(); ++c) {
    const double part = static_cast<double>(c) / static_cast<double>(means.numel());
    means.data<double>()[c] = mean + 0.6 * part - 0.2;
    vars.data<double>()[c] = 0.5 + 2 * part;
  }
  buffer_of(layer, "num_batches_tracked").fill(static_cast<double>(batches));
}

/// r and d as the paper defines them, from statistics of the layer before the batch.
auto corrections(Module& layer, double eps, double r_max, double d_max) {
  using Real = ExactNorm::Real;
  const Tensor means = buffer_of(layer, "running_mean").clone();
  const Tensor vars = buffer_of(layer, "running_var").clone();
  return [=](std::int64_t c, Real mean, Real sigma) -> ExactNorm::Factors {
    const Real gathered =
        std::sqrt(static_cast<Real>(vars.data<double>()[c]) + static_cast<Real>(eps));
    const auto limit = static_cast<Real>(r_max);
    return {std::clamp(sigma / gathered, 1 / limit, limit),
            std::clamp((mean - static_cast<Real>(means.data<double>()[c])) / gathered,
                       -static_cast<Real>(d_max), static_cast<Real>(d_max))};
  };
}

TEST(BatchRenorm, with_r_1_and_d_0_is_batch_norm_in_all_bits) {
  for (const Layout layout : kLayouts) {
    for (const Shape& shape : {Shape{6, 5, 7, 9}, Shape{40, 3, 31, 30}}) {
      const Tensor x = normal_tensor(shape, 1, 3, 2, layout);
      const Tensor dy = normal_tensor(shape, 2, 0, 1, layout);
      BatchNorm2d plain(shape[1]);
      BatchRenorm2d renorm(shape[1], {}, at_once(1, 0));
      for (Module* layer : std::initializer_list<Module*>{&plain, &renorm}) {
        disturb_affine(*layer);
        set_statistics(*layer, 2.5, 7);
      }
      EXPECT_EQ(NormStep(renorm, x, dy).difference(NormStep(plain, x, dy)), "");
    }
  }
}

TEST(BatchRenorm, before_its_ramp_is_batch_norm_in_all_bits) {
  const Tensor x = normal_tensor({6, 5}, 1, 3, 2);
  const Tensor dy = normal_tensor({6, 5}, 2, 0, 1);
  BatchNorm1d plain(5);
  BatchRenorm1d renorm(5, {}, {.ramp_begin = 3, .ramp_end = 9});
  for (int step = 0; step < 4; ++step) {
    EXPECT_EQ(NormStep(renorm, x, dy).difference(NormStep(plain, x, dy)), "") << step;
  }
  EXPECT_EQ(NormStep(renorm, x, dy).difference(NormStep(plain, x, dy)), "y") << "batches 4";
}

TEST(BatchRenorm, limits_grow_evenly_over_the_ramp) {
  const Tensor x = normal_tensor({6, 5}, 1, 30, 20);  // beyond all limits
  const Tensor dy = normal_tensor({6, 5}, 2, 0, 1);
  const RenormOptions ramp{.r_max = 3, .d_max = 4, .ramp_begin = 100, .ramp_end = 300};
  for (const auto& [batches, r, d] : {std::tuple{100, 1.0, 0.0},
                                      {150, 1.5, 1.0},
                                      {200, 2.0, 2.0},
                                      {300, 3.0, 4.0},
                                      {5000, 3.0, 4.0}}) {
    BatchRenorm1d ramped(5, {}, ramp);
    BatchRenorm1d fixed(5, {}, at_once(r, d));
    for (Module* layer : std::initializer_list<Module*>{&ramped, &fixed}) {
      set_statistics(*layer, 0, batches);
    }
    EXPECT_EQ(NormStep(ramped, x, dy).difference(NormStep(fixed, x, dy)), "") << batches;
  }
}

TEST(BatchRenorm, within_its_limits_training_computes_what_eval_mode_does) {
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({6, 5, 7}, 1, 2.5, 1.2, layout);
    BatchRenorm1d renorm(5, {}, at_once(100, 100));
    disturb_affine(renorm);
    set_statistics(renorm, 2, 50);
    auto evaluated = renorm.clone();
    evaluated->eval();
    EXPECT_LE(max_difference(renorm.forward(x), evaluated->forward(x)), 1e-6);
  }
}

TEST(BatchRenorm, running_statistics_are_those_of_batch_norm) {
  const Tensor x = normal_tensor({6, 5, 7}, 1, 2.5, 1.2);
  BatchRenorm1d renorm(5, {}, at_once(3, 5));
  BatchNorm1d plain(5);
  for (int step = 0; step < 3; ++step) {
    renorm.forward(x);
    plain.forward(x);
  }
  for (const char* name : {"running_mean", "running_var", "num_batches_tracked"}) {
    EXPECT_TRUE(identical(buffer_of(renorm, name), buffer_of(plain, name))) << name;
  }
}

TEST(BatchRenorm, stays_within_the_bar_at_any_mean) {
  for (const double mean : {0.0, 1e4, 1e6, -1e6}) {
    for (const double r_max : {1.1, 3.0}) {
      for (const Layout layout : kLayouts) {
        SCOPED_TRACE(fmt::format("{} {} {}", mean, r_max, evenkeel::name_of(layout)));
        const Tensor x = normal_tensor({11, 6, 150}, 1, mean, 1, layout);
        const Tensor dy = normal_tensor({11, 6, 150}, 2, 0, 1, layout);
        const double d_max = r_max == 3 ? 5 : 0.1;
        BatchRenorm1d renorm(6, {}, at_once(r_max, d_max));
        set_statistics(renorm, mean, 50);
        ExactNorm exact = exact_norm(6, {0, 11});
        exact.correction = corrections(renorm, exact.eps, r_max, d_max);
        const auto errors = testing::NormComparison(renorm, x, dy, exact).errors();
        EXPECT_LE(errors.y, testing::kBarOfY);
        EXPECT_LE(errors.dx, testing::kBarOfGradients);
        EXPECT_LE(errors.dgamma, testing::kBarOfGradients);
        EXPECT_LE(errors.dbeta, testing::kBarOfGradients);
      }
    }
  }
}

/// Values at the running mean, which the batch's is far from: d takes all of x̂ away again, and what
/// is left must have the accuracy of its own size.
TEST(BatchRenorm, a_large_d_costs_no_digits) {
  for (const Layout layout : kLayouts) {
    Tensor x = normal_tensor({64, 4, 20}, 1, 0, 1, layout);
    const Tensor dy = normal_tensor({64, 4, 20}, 2, 0, 1, layout);
    for (std::int64_t c = 0; c < 4; ++c) x.data<float>()[testing::element(x, 5, c, 3)] = -300;
    BatchRenorm1d renorm(4, {}, at_once(1e6, 1e6));
    set_statistics(renorm, -300, 50);
    ExactNorm exact = exact_norm(4, {0, 64});
    for (double& gamma : exact.gamma) gamma *= 1024;
    exact.correction = corrections(renorm, exact.eps, 1e6, 1e6);
    EXPECT_LE(testing::NormComparison(renorm, x, dy, exact).errors().y, testing::kBarOfY);
  }
}

TEST(BatchRenorm, has_the_same_bits_for_any_number_of_threads) {
  const int threads = max_threads();
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({10, 70, 23, 21}, 1, 3, 2, layout);
    const Tensor dy = normal_tensor({10, 70, 23, 21}, 2, 0, 1, layout);
    const auto step = [&](int count) {
      set_max_threads(count);
      BatchRenorm2d renorm(70, {.ghost_size = 4}, at_once(3, 5));
      set_statistics(renorm, 2, 9);
      return NormStep(renorm, x, dy);
    };
    const NormStep expected = step(1);
    for (const int count : {2, 3, 8}) EXPECT_EQ(step(count).difference(expected), "") << count;
  }
  set_max_threads(threads);
}

TEST(BatchRenorm, has_the_same_bits_fused_and_not) {
  const auto make = [] {
    auto net = std::make_unique<Sequential>();
    Sequential body{BatchRenorm2d(3, {}, at_once(3, 5)), ReLU(), Conv2d(3, 3, 1),
                    BatchRenorm2d(3, {}, at_once(1.1, 0.1))};
    net->add(Residual(std::move(body)));
    net->initialize(4);
    return net;
  };
  for (const Layout layout : kLayouts) {
    const Tensor x = normal_tensor({5, 3, 6, 7}, 1, 0.7, 2, layout);
    const Tensor dy = normal_tensor({5, 3, 6, 7}, 2, 0, 1, layout);
    auto fused = make();
    auto plain = make();
    ASSERT_EQ(fuse(*fused), 2);
    EXPECT_EQ(NormStep(*fused, x, dy).difference(NormStep(*plain, x, dy)), "");
  }
}

TEST(BatchRenorm, virtual_batches_are_corrected_one_after_another) {
  const Tensor x = normal_tensor({10, 5}, 1, 3, 2);
  const Tensor dy = normal_tensor({10, 5}, 2, 0, 1);
  BatchRenorm1d ghost(5, {.ghost_size = 4}, at_once(3, 5));
  BatchRenorm1d one(5, {}, at_once(3, 5));
  const NormStep step(ghost, x, dy);
  for (const auto& [begin, end] : {std::pair{0, 4}, {4, 8}, {8, 10}}) {
    EXPECT_TRUE(identical(one.forward(x.slice(begin, end)), step.y.slice(begin, end)));
    EXPECT_TRUE(identical(one.backward(dy.slice(begin, end)), step.dx.slice(begin, end)));
  }
}

/// L = Σ w⊙y with r and d as they are at x, in long double.
class FrozenLoss {
 public:
  FrozenLoss(const Tensor& x, const Tensor& w, const ExactNorm& exact) : w_(w), exact_(exact) {
    for (std::int64_t c = 0; c < x.dim(1); ++c) {
      const auto [mean, sigma] = moments(x, c);
      factors_.push_back(exact.correction(c, mean, sigma));
    }
  }
  long double operator()(const Tensor& x) const {
    long double loss = 0;
    for (std::int64_t c = 0; c < x.dim(1); ++c) {
      const auto [mean, sigma] = moments(x, c);
      const auto i = static_cast<std::size_t>(c);
      for (std::int64_t n = 0; n < x.dim(0); ++n) {
        const auto value = static_cast<long double>(testing::value_at(x, n, c, 0));
        const long double hat = (value - mean) / sigma * factors_[i].r + factors_[i].d;
        loss += static_cast<long double>(testing::value_at(w_, n, c, 0)) *
                (static_cast<long double>(exact_.gamma[i]) * hat +
                 static_cast<long double>(exact_.beta[i]));
      }
    }
    return loss;
  }

 private:
  struct Moments {
    long double mean, sigma;
  };
  Moments moments(const Tensor& x, std::int64_t c) const {
    const auto m = static_cast<long double>(x.dim(0));
    long double sum = 0, square = 0;
    for (std::int64_t n = 0; n < x.dim(0); ++n) {
      sum += static_cast<long double>(testing::value_at(x, n, c, 0));
    }
    for (std::int64_t n = 0; n < x.dim(0); ++n) {
      const long double d = static_cast<long double>(testing::value_at(x, n, c, 0)) - sum / m;
      square += d * d;
    }
    return {sum / m, std::sqrt(square / m + static_cast<long double>(exact_.eps))};
  }

  Tensor w_;
  ExactNorm exact_;
  std::vector<ExactNorm::Factors> factors_;
};

TEST(BatchRenorm, gradients_with_r_and_d_held_are_those_of_central_differences) {
  const Tensor x = testing::separated_tensor({6, 4}, 3, Layout::channels_first);
  const Tensor w = random_tensor({6, 4}, 5, DType::f64);
  BatchRenorm1d renorm(4, {}, at_once(3, 5));
  renorm.to(DType::f64);
  disturb_affine(renorm);
  set_statistics(renorm, 0.4, 50);
  ExactNorm exact = exact_norm(4, {0, 6});
  for (std::int64_t c = 0; c < 4; ++c) {
    const auto i = static_cast<std::size_t>(c);
    exact.gamma[i] = renorm.parameters()[0].parameter->value.data<double>()[c];
    exact.beta[i] = renorm.parameters()[1].parameter->value.data<double>()[c];
  }
  exact.correction = corrections(renorm, exact.eps, 3, 5);
  renorm.forward(x);
  const Tensor dx = renorm.backward(w);
  const FrozenLoss loss(x, w, exact);
  const auto central = [](double& value, const auto& f) {
    const double original = value;
    const double step = 1e-4;
    value = original + step;
    const long double up = f();
    value = original - step;
    const long double down = f();
    value = original;
    return static_cast<double>((up - down) / (2 * static_cast<long double>(step)));
  };
  Tensor moved = x.clone();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    const double wanted = central(moved.data<double>()[i], [&] { return loss(moved); });
    EXPECT_NEAR(dx.data<double>()[i], wanted, testing::kGradientTolerance) << i;
  }
  for (std::int64_t c = 0; c < 4; ++c) {
    for (const bool of_gamma : {true, false}) {
      auto& value = (of_gamma ? exact.gamma : exact.beta)[static_cast<std::size_t>(c)];
      const double wanted = central(value, [&] { return FrozenLoss(x, w, exact)(x); });
      const Tensor& grad = renorm.parameters()[of_gamma ? 0 : 1].parameter->grad;
      EXPECT_NEAR(grad.data<double>()[c], wanted, testing::kGradientTolerance) << c;
    }
  }
}

TEST(BatchRenorm, goes_on_from_its_state_where_it_was_in_the_ramp) {
  const Tensor x = normal_tensor({6, 5}, 1, 3, 2);
  const RenormOptions ramp{.r_max = 3, .d_max = 5, .ramp_begin = 2, .ramp_end = 12};
  BatchRenorm1d layer(5, {}, ramp);
  for (int step = 0; step < 7; ++step) layer.forward(x);
  BatchRenorm1d resumed(5, {}, ramp);
  resumed.load_state_dict(layer.state_dict());
  EXPECT_TRUE(identical(layer.forward(x), resumed.forward(x)));
}

TEST(BatchRenorm, a_constant_channel_without_eps_becomes_d) {
  BatchRenorm1d renorm(1, {.eps = 0}, at_once(3, 5));
  set_statistics(renorm, 0, 1);  // mean -0.2, variance 0.5
  const Tensor y = renorm.forward(Tensor::full({4, 1}, 1.0));
  const double d = 1.2 / std::sqrt(0.5);
  for (const float value : y.span<float>()) EXPECT_NEAR(value, d, 1e-6);
  const Tensor dx = renorm.backward(random_tensor({4, 1}, 1));
  for (const float value : dx.span<float>()) EXPECT_EQ(value, 0.F);
}

TEST(BatchRenorm, values_that_are_not_finite_spoil_their_channel_alone) {
  Tensor x = normal_tensor({6, 3}, 1, 3, 2);
  BatchRenorm1d clean(3, {}, at_once(3, 5));
  const Tensor expected = clean.forward(x);
  x.data<float>()[4] = INFINITY;  // channel 1
  BatchRenorm1d renorm(3, {.guard = true}, at_once(3, 5));
  const Snapshot before(renorm);
  const Tensor y = renorm.forward(x);
  EXPECT_EQ(before.difference(), "") << "the guard";
  EXPECT_EQ(renorm.refused_batches(), 1);
  for (std::int64_t n = 0; n < 6; ++n) {
    EXPECT_TRUE(std::isnan(y.data<float>()[3 * n + 1]));
    for (const std::int64_t c : {0, 2}) {
      EXPECT_EQ(y.data<float>()[3 * n + c], expected.data<float>()[3 * n + c]);
    }
  }
}

TEST(BatchRenorm, one_value_per_channel_is_an_error_that_changes_nothing) {
  BatchRenorm1d renorm(3, {}, at_once(3, 5));
  const Snapshot before(renorm);
  EXPECT_THROW(renorm.forward(random_tensor({1, 3}, 1)), ShapeError);
  EXPECT_EQ(before.difference(), "");
  EXPECT_EQ(renorm.forward(Tensor::empty({0, 3})).shape(), Shape({0, 3}));
  EXPECT_EQ(before.difference(), "");
}

TEST(BatchRenorm, limits_out_of_range_are_refused) {
  const auto make = [](const RenormOptions& options) { BatchRenorm2d(3, {}, options); };
  EXPECT_NE(message_of<UsageError>([&] { make({.r_max = 0.5}); }).find("r_max of 1 or more"),
            std::string::npos);
  EXPECT_THROW(make({.r_max = NAN}), UsageError);
  EXPECT_THROW(make({.r_max = INFINITY}), UsageError);
  EXPECT_THROW(make({.d_max = -1}), UsageError);
  EXPECT_THROW(make({.d_max = NAN}), UsageError);
  EXPECT_THROW(make({.ramp_begin = -1}), UsageError);
  EXPECT_THROW(make({.ramp_begin = 10, .ramp_end = 9}), UsageError);
  EXPECT_NE(message_of<UsageError>([] {
              BatchRenorm2d(3, {.track_running_stats = false});
            }).find("track_running_stats"),
            std::string::npos);
}

}  // namespace
}  // namespace evenkeel::nn
