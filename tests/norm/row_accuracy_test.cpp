// The accuracy that docs/row-norms.md promises: |y − y_ref| ≤ 1e-6·max(1, |γx̂| + |β|) at any mean,
// with outliers, in every form of a row, on every instruction set.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "row_support.h"
#include <evenkeel/norm/isa.h>

namespace evenkeel::norm::testing {
namespace {

constexpr Layout kFirst = Layout::channels_first;
constexpr Layout kLast = Layout::channels_last;

/// Each way of lying in memory: contiguous with γ per element (one and several groups), per
/// channel, groups wide and narrow, one and several parts.
std::vector<RowForm> forms() {
  return {elements(9, 70),
          elements(70, 777),
          elements(3, 40000),
          grouped(kFirst, 5, 3, 20, 1),
          grouped(kFirst, 3, 2, 4, 121),
          grouped(kFirst, 2, 1, 7, 5000),
          grouped(kFirst, 3, 19, 1, 90),
          grouped(kLast, 2, 19, 1, 130),
          grouped(kLast, 3, 8, 4, 49),
          grouped(kLast, 2, 2, 17, 100),
          grouped(kLast, 2, 3, 80, 30),
          grouped(kLast, 2, 1, 37, 70),
          grouped(kLast, 1, 3, 5, 9000)};
}

struct Setting {
  double mean_over_sigma;
  double outlier;  // in σ; 0: none
  Centre centre = Centre::mean;
};

class RowAccuracy : public ::testing::TestWithParam<Setting> {
 protected:
  void TearDown() override { force_isa(""); }
};

Tensor ramp(std::int64_t count, double from, double to) {
  Tensor t = Tensor::empty({count});
  for (std::int64_t i = 0; i < count; ++i) {
    t.data<float>()[i] = static_cast<float>(from + (to - from) * static_cast<double>(i) /
                                                       static_cast<double>(count));
  }
  return t;
}

TEST_P(RowAccuracy, StaysWithinOneMillionthInEveryForm) {
  const auto [mean, outlier, centre] = GetParam();
  for (const RowForm& form : forms()) {
    Tensor x = random_normal({form.numel()}, 11, mean, 1);
    const Tensor dy = random_normal({form.numel()}, 12, 0, 1);
    for (std::int64_t row = 0; outlier != 0 && row < form.rows(); ++row) {
      const std::int64_t i = form.at(row / form.groups, row % form.groups, row % form.channels, 0);
      x.data<float>()[i] = static_cast<float>(mean + outlier);
    }
    const Tensor gamma = ramp(form.parameters(), 0.5, 5), beta = ramp(form.parameters(), 0, -10);
    for (const std::string& isa : available_isas()) {
      SCOPED_TRACE(fmt::format("{} {}", isa, form.str()));
      force_isa(isa);
      const RowErrors worst = errors_of(form, x, dy, gamma, beta, {1e-5, centre});
      EXPECT_LE(worst.y, 1e-6);
      EXPECT_LE(worst.dx, 4e-6);
      EXPECT_LE(worst.dgamma, 2e-6);
      EXPECT_LE(worst.dbeta, 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MeansAndOutliers, RowAccuracy,
                         ::testing::Values(Setting{0, 0}, Setting{1, 0}, Setting{1e2, 0},
                                           Setting{1e4, 0}, Setting{1e5, 0}, Setting{1e6, 0},
                                           Setting{0, 30}, Setting{0, 300}, Setting{1e4, 300},
                                           Setting{1e6, 30}, Setting{-1e6, -300},
                                           Setting{0, 0, Centre::zero},
                                           Setting{1e4, 300, Centre::zero}));

class RowAccuracyAtTheEnds : public ::testing::Test {
 protected:
  void TearDown() override { force_isa(""); }
};

TEST_F(RowAccuracyAtTheEnds, ConstantRowsNormalizeToBeta) {
  for (const float value : {0.0F, 1e7F, -3.3e38F, 1e-40F}) {
    for (const std::string& isa : available_isas()) {
      force_isa(isa);
      for (const RowForm& form : forms()) {
        for (const double eps : {0.0, 1e-5}) {
          RowCall call(form, Tensor::full({form.numel()}, static_cast<double>(value)), Tensor(),
                       Tensor::full({form.parameters()}, 3), {eps});
          for (const float v : call.forward().span<float>()) ASSERT_EQ(v, 3.0F) << value << isa;
        }
      }
    }
  }
}

/// Values near the ends of f32's range, with an eps that does not hide them.
TEST_F(RowAccuracyAtTheEnds, HugeAndTinyValuesAreDoneInDouble) {
  for (const double scale : {1e19, 1e37, 1e-20, 1e-30, 1e-38, 3e-41}) {
    for (const RowForm& form : {elements(5, 70), grouped(kFirst, 3, 2, 3, 33),
                                grouped(kLast, 3, 5, 3, 33), grouped(kLast, 2, 2, 20, 33)}) {
      const Tensor x = random_normal({form.numel()}, 5, 0, scale);
      const Tensor dy = random_normal({form.numel()}, 6, 0, 1);
      const Tensor gamma = ramp(form.parameters(), 1, 3), beta = ramp(form.parameters(), -1, 1);
      for (const std::string& isa : available_isas()) {
        SCOPED_TRACE(fmt::format("{} {} {}", scale, form.str(), isa));
        force_isa(isa);
        for (const Centre centre : {Centre::mean, Centre::zero}) {
          const RowErrors worst = errors_of(form, x, dy, gamma, beta, {0.0, centre});
          EXPECT_LE(worst.y, 1e-6);
          EXPECT_LE(worst.dgamma, 2e-6);
          // dx itself may leave the range of float32 where σ is below 1e-38.
          if (scale > 1e-36) {
            EXPECT_LE(worst.dx, 4e-6);
          }
        }
      }
    }
  }
}

/// Gradients of any size: the sums leave f32's range long before their results do.
TEST_F(RowAccuracyAtTheEnds, HugeAndTinyGradientsAreDoneInDouble) {
  for (const double scale : {1e36, 1e25, 1e-20, 1e-32, 1e-36}) {
    for (const RowForm& form : {elements(5, 70), elements(4, 600), grouped(kFirst, 3, 2, 3, 33),
                                grouped(kLast, 3, 5, 3, 33), grouped(kLast, 2, 2, 20, 33)}) {
      const Tensor x = random_normal({form.numel()}, 5, 2, 1);
      const Tensor dy = random_normal({form.numel()}, 6, 0, scale);
      for (const std::string& isa : available_isas()) {
        SCOPED_TRACE(fmt::format("{} {} {}", scale, form.str(), isa));
        force_isa(isa);
        const Tensor gamma = ramp(form.parameters(), 1, 3), beta = ramp(form.parameters(), -1, 1);
        RowCall call(form, x, gamma, beta);
        call.forward();
        const auto got = call.backward(dy);
        const RowOracle oracle(form, x, dy, doubles(gamma), doubles(beta), 1e-5);
        const std::vector<double> dx = doubles(got.dx), dgamma = doubles(got.dgamma);
        for (std::size_t i = 0; i < dx.size(); ++i) {
          ASSERT_NEAR(dx[i] / scale, oracle.dx[i] / scale, 1e-5) << i;
        }
        for (std::size_t i = 0; i < dgamma.size(); ++i) {
          ASSERT_NEAR(dgamma[i] / scale, oracle.dgamma[i] / scale,
                      2e-6 * oracle.dgamma_size[i] / scale)
              << i;
        }
      }
    }
  }
}

/// Few values per row: dx is a small difference of large numbers (with one or two values almost 0).
TEST_F(RowAccuracyAtTheEnds, ShortRowsHaveExactGradients) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (std::int64_t length = 1; length <= 8; ++length) {
      for (const RowForm& form :
           {elements(50, length), grouped(kFirst, 10, 5, 1, length),
            grouped(kLast, 10, 5, 1, length), grouped(kLast, 10, 5, length, 1)}) {
        const Tensor x = random_normal({form.numel()}, 1, 100, 1);
        const Tensor dy = random_normal({form.numel()}, 2, 0, 1);
        RowCall call(form, x, Tensor(), Tensor());
        call.forward();
        const std::vector<double> dx = doubles(call.backward(dy).dx);
        const std::vector<double> one(static_cast<std::size_t>(form.parameters()), 1.0);
        const std::vector<double> none(one.size(), 0.0);
        const RowOracle oracle(form, x, dy, one, none, 1e-5);
        for (std::size_t i = 0; i < dx.size(); ++i) {
          ASSERT_NEAR(dx[i], oracle.dx[i], 2e-7 * std::abs(oracle.dx[i]) + 1e-9)
              << isa << form.str();
        }
      }
    }
  }
}

/// mean(g) is no float, all sums are exact: what is left is how well it is subtracted.
TEST_F(RowAccuracyAtTheEnds, TheMeanOfTheGradientIsSubtractedAsTwoNumbers) {
  for (const RowForm& form :
       {elements(4, 66), grouped(kFirst, 4, 5, 6, 11), grouped(kLast, 4, 5, 6, 11)}) {
    Tensor x = Tensor::empty({form.numel()}), dy = x.clone();
    for (std::int64_t row = 0; row < form.rows(); ++row) {
      for (std::int64_t k = 0; k < 66; ++k) {
        const auto i = form.at(row / form.groups, row % form.groups, k / form.s, k % form.s);
        x.data<float>()[i] = k < 33 ? 1.0F : -1.0F;
        dy.data<float>()[i] = k % 3 == 0 ? 1025.0F : 1024.0F;
      }
    }
    for (const std::string& isa : available_isas()) {
      force_isa(isa);
      EXPECT_LE(errors_of(form, x, dy, Tensor(), Tensor(), {}).dx, 1e-6) << isa << form.str();
    }
  }
}

TEST_F(RowAccuracyAtTheEnds, OneValuePerRowGivesBetaAndNoGradient) {
  for (const std::string& isa : available_isas()) {
    force_isa(isa);
    for (const RowForm& form : {elements(3, 1), grouped(kLast, 2, 4, 1, 1)}) {
      const Tensor x = random_normal({form.numel()}, 1, 100, 1);
      RowCall call(form, x, Tensor::full({form.parameters()}, 2),
                   Tensor::full({form.parameters()}, 7));
      for (const float v : call.forward().span<float>()) EXPECT_EQ(v, 7.0F);
      const auto g = call.backward(random_normal({form.numel()}, 2, 0, 1));
      for (const float v : g.dx.span<float>()) EXPECT_EQ(v, 0.0F);
      for (const float v : g.dgamma.span<float>()) EXPECT_EQ(v, 0.0F);
    }
  }
}

/// f64 tensors run the reference.
TEST(RowReference, AgreesWithTheOracleInEveryForm) {
  for (const RowForm& form : forms()) {
    SCOPED_TRACE(form.str());
    const Tensor x = random_normal({form.numel()}, 1, 10, 3, DType::f64);
    const Tensor dy = random_normal({form.numel()}, 2, 0, 1, DType::f64);
    const Tensor gamma = random_normal({form.parameters()}, 3, 1, 1, DType::f64);
    const Tensor beta = random_normal({form.parameters()}, 4, 0, 1, DType::f64);
    for (const Centre centre : {Centre::mean, Centre::zero}) {
      const RowErrors worst = errors_of(form, x, dy, gamma, beta, {1e-5, centre});
      EXPECT_LE(worst.y, 1e-14);
      EXPECT_LE(worst.dx, 1e-12);
      EXPECT_LE(worst.dgamma, 1e-13);
      EXPECT_LE(worst.dbeta, 1e-13);
    }
  }
}

RC_GTEST_PROP(RowAccuracyProperty, RandomFormsAndValuesAgreeWithTheOracle, ()) {
  const auto pick = [](std::int64_t below) { return *rc::gen::inRange<std::int64_t>(1, below); };
  const auto layout = *rc::gen::element(Layout::channels_first, Layout::channels_last);
  const RowForm form = grouped(layout, pick(6), pick(7), pick(40), pick(60));
  const auto exponent = *rc::gen::inRange(-3, 7);
  const auto seed = static_cast<std::uint64_t>(*rc::gen::inRange(0, 1000000));
  const Tensor x = random_normal({form.numel()}, seed, std::pow(10.0, exponent), 1);
  const Tensor dy = random_normal({form.numel()}, seed + 1, 0, 1);
  const bool affine = *rc::gen::arbitrary<bool>();
  const Tensor gamma = affine ? ramp(form.parameters(), 0.5, 2) : Tensor();
  const Tensor beta =
      affine && *rc::gen::arbitrary<bool>() ? ramp(form.parameters(), -2, 2) : Tensor();
  const auto centre = *rc::gen::element(Centre::mean, Centre::zero);
  const RowErrors worst = errors_of(form, x, dy, gamma, beta, {1e-5, centre});
  RC_ASSERT(worst.y <= 1e-6);
  RC_ASSERT(worst.dx <= 4e-6);
  RC_ASSERT(worst.dgamma <= 2e-6);
  RC_ASSERT(worst.dbeta <= 1e-6);
}

}  // namespace
}  // namespace evenkeel::norm::testing
