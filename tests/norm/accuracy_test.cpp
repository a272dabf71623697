// The accuracy that docs/numerics.md promises: |y − y_ref| ≤ 1e-6·max(1, |γx̂| + |β|) at any mean, with
// outliers, in both layouts, on every instruction set.
#include <evenkeel/norm/isa.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "support.h"

namespace evenkeel::norm::testing {
namespace {

/// The largest |y − y_ref| / max(1, |γx̂| + |β|), and of the gradient the largest error over
/// γ/σ·max|dy|·(1 + max x̂²)-sized terms.
struct Errors {
  double y = 0, dx = 0;
};

Errors errors_of(const Tensor& x, const Tensor& dy, const std::vector<double>& gamma,
                 const std::vector<double>& beta, double eps) {
  const auto d = channel_dims(x.shape(), "test");
  std::vector<float> g(gamma.begin(), gamma.end()), b(beta.begin(), beta.end());
  BatchNormCall call(x, Tensor::from<float>(g, {d.c}), Tensor::from<float>(b, {d.c}), {}, eps);
  const Tensor y = call.forward();
  const auto gradients = call.backward(dy);
  const std::vector<double> gd(g.begin(), g.end()), bd(b.begin(), b.end());
  const Oracle oracle(x, dy, gd, bd, eps);
  Errors worst;
  for (std::int64_t n = 0; n < d.n; ++n) {
    for (std::int64_t c = 0; c < d.c; ++c) {
      for (std::int64_t s = 0; s < d.s; ++s) {
        const auto i = static_cast<std::size_t>((n * d.c + c) * d.s + s);
        const auto k = static_cast<std::size_t>(c);
        const double scaled = std::abs(oracle.y[i] - bd[k]) + std::abs(bd[k]);
        const double error = std::abs(
            static_cast<double>(std::as_const(y).data<float>()[offset(y, n, c, s)]) - oracle.y[i]);
        worst.y = std::max(worst.y, error / std::max(1.0, scaled));
        const double inv = 1 / std::sqrt(oracle.var[k] + eps);
        const double got = static_cast<double>(
            std::as_const(gradients.dx).data<float>()[offset(gradients.dx, n, c, s)]);
        worst.dx = std::max(worst.dx, std::abs(got - oracle.dx[i]) /
                                          (std::abs(gd[k]) * inv + std::abs(oracle.dx[i]) + 1e-30));
      }
    }
  }
  return worst;
}

struct Setting {
  double mean_over_sigma;
  double outlier;  // in σ; 0: none
};

class Accuracy : public ::testing::TestWithParam<Setting> {
 protected:
  void TearDown() override { force_isa(""); }
};

TEST_P(Accuracy, StaysWithinOneMillionthInBothLayouts) {
  const auto [mean, outlier] = GetParam();
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      for (const Shape& shape : {Shape{8, 5, 20, 21}, Shape{3, 2, 5000}, Shape{256, 70}}) {
        SCOPED_TRACE(fmt::format("{} {} {}", isa, name_of(layout), shape.str()));
        Tensor x = random_normal(shape, 11, mean, 1, DType::f32, layout);
        const Tensor dy = random_normal(shape, 12, 0, 1, DType::f32, layout);
        const auto c = static_cast<std::size_t>(shape[1]);
        if (outlier != 0) {
          for (std::int64_t k = 0; k < shape[1]; ++k) {
            x.data<float>()[offset(x, k % shape[0], k, 0)] = static_cast<float>(mean + outlier);
          }
        }
        std::vector<double> gamma(c), beta(c);
        for (std::size_t i = 0; i < c; ++i) {
          gamma[i] = 0.5 + 4.5 * static_cast<double>(i) / static_cast<double>(c);
          beta[i] = -10.0 * static_cast<double>(i) / static_cast<double>(c);
        }
        const Errors worst = errors_of(x, dy, gamma, beta, 1e-5);
        EXPECT_LE(worst.y, 1e-6);
        EXPECT_LE(worst.dx, 4e-6);
        RecordProperty("worst_y", fmt::format("{:.2e}", worst.y));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MeansAndOutliers, Accuracy,
                         ::testing::Values(Setting{0, 0}, Setting{1, 0}, Setting{1e2, 0},
                                           Setting{1e4, 0}, Setting{1e5, 0}, Setting{1e6, 0},
                                           Setting{0, 30}, Setting{0, 300}, Setting{1e4, 300},
                                           Setting{1e6, 30}, Setting{-1e6, -300}));

TEST(AccuracyAtTheEnds, ConstantInputNormalizesToZero) {
  for (const float value : {0.0F, 1e7F, -3.3e38F, 1e-40F}) {
    for (const std::string& isa : available_isas()) {
      force_isa(isa);
      for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
        for (const double eps : {0.0, 1e-5}) {
          const Tensor x =
              Tensor::full({4, 3, 70}, static_cast<double>(value), DType::f32, layout);
          BatchNormCall call(x, Tensor(), Tensor(), {}, eps);
          const Tensor y = call.forward();
          for (const float v : std::as_const(y).span<float>()) ASSERT_EQ(v, 0.0F) << value;
        }
      }
    }
    force_isa("");
  }
}

/// Values near the ends of f32's range, with an eps that does not hide them.
TEST(AccuracyAtTheEnds, HugeAndTinyValuesAreDoneInDouble) {
  for (const double scale : {1e19, 1e37, 1e-20, 1e-30, 1e-38, 3e-41}) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      SCOPED_TRACE(fmt::format("{} {}", scale, name_of(layout)));
      const Tensor x = random_normal({8, 3, 33}, 5, 0, scale, DType::f32, layout);
      const Tensor dy = random_normal({8, 3, 33}, 6, 0, 1, DType::f32, layout);
      for (const std::string& isa : available_isas()) {
        force_isa(isa);
        const Errors worst = errors_of(x, dy, {1, 2, 3}, {0, 1, -1}, 0.0);
        EXPECT_LE(worst.y, 1e-6) << isa;
        // dx itself may leave the range of float32 where σ is below 1e-38.
        if (scale > 1e-36) {
          EXPECT_LE(worst.dx, 4e-6) << isa;
        }
      }
      force_isa("");
    }
  }
}

RC_GTEST_PROP(AccuracyProperty, RandomShapesAndValuesAgreeWithTheOracle, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(1, 9);
  const auto c = *rc::gen::inRange<std::int64_t>(1, 70);
  const auto s = *rc::gen::inRange<std::int64_t>(1, 90);
  RC_PRE(n * s > 1);
  const auto layout = *rc::gen::element(Layout::channels_first, Layout::channels_last);
  const auto exponent = *rc::gen::inRange(-3, 7);
  const auto seed = static_cast<std::uint64_t>(*rc::gen::inRange(0, 1000000));
  const Tensor x = random_normal({n, c, s}, seed, std::pow(10.0, exponent), 1, DType::f32, layout);
  const Tensor dy = random_normal({n, c, s}, seed + 1, 0, 1, DType::f32, layout);
  std::vector<double> gamma(static_cast<std::size_t>(c), 1.5), beta(static_cast<std::size_t>(c), -2);
  RC_ASSERT(errors_of(x, dy, gamma, beta, 1e-5).y <= 1e-6);
}

}  // namespace
}  // namespace evenkeel::norm::testing
