#include <array>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "train/runs.h"

namespace evenkeel::train {
namespace {

using testing::contains;
using testing::error_of;

constexpr std::array kThree{15.0, 50.0, 85.0};

/// k²/8 for k = 0, 1, … in the order of [2, 3, 2, 2].
Tensor squares(DType dtype = DType::f64) {
  Tensor x = Tensor::empty({2, 3, 2, 2}, DType::f64);
  double* const values = x.data<double>();
  for (int k = 0; k < 24; ++k) values[k] = k * k / 8.0;
  return x.to(dtype);
}

void expect_near(const std::vector<double>& got, const std::vector<double>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-12) << i;
}

TEST(Percentiles, AreThoseOfNumpy) {
  const std::vector<double> values{3.5, -1.25, 8, 0.5, 2, 2, -7.75, 11, 4, -0.125};
  const std::vector<double> wanted{-7.75, -0.85625, 2.0, 6.6, 10.325, 11.0};
  expect_near(percentiles(values, std::array{0.0, 15.0, 50.0, 85.0, 97.5, 100.0}), wanted);
}

TEST(Percentiles, ComeInTheOrderAskedFor) {
  const std::vector<double> values{5, 1, 4, 2, 3};
  expect_near(percentiles(values, std::array{100.0, 0.0, 50.0, 50.0}), {5, 1, 3, 3});
  EXPECT_TRUE(percentiles(values, {}).empty());
}

TEST(Percentiles, OfATensorAreOverAllItsValuesInEveryType) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    // Rounded as the tensor is.
    const Tensor wide = squares(dtype).to(DType::f64);
    const auto all = wide.span<double>();
    expect_near(percentiles(squares(dtype), kThree),
                percentiles(std::vector<double>(all.begin(), all.end()), kThree));
  }
  expect_near(percentiles(squares(), kThree), {1.51875, 16.5625, 47.80625});
}

TEST(Percentiles, OfAUnitAreOverItsValuesInEitherLayout) {
  const std::vector<std::vector<double>> wanted{
      {0.14375, 9.5625, 24.33125}, {3.19375, 19.0625, 40.28125}, {10.24375, 32.5625, 60.23125}};
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    for (std::int64_t unit = 0; unit < 3; ++unit) {
      expect_near(percentiles_of_unit(squares().to(layout), unit, kThree),
                  wanted[static_cast<std::size_t>(unit)]);
    }
  }
  const Tensor rows = Tensor::from<float>({1, 10, 2, 20, 3, 30}, {3, 2});
  expect_near(percentiles_of_unit(rows, 1, std::array{50.0}), {20});
}

TEST(Percentiles, AreNaNWhereThereIsNothingToSay) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(percentiles(std::vector<double>{1, nan, 2}, std::array{0.0})[0]));
  EXPECT_TRUE(std::isnan(percentiles(std::vector<double>{}, std::array{50.0})[0]));
  EXPECT_TRUE(std::isnan(percentiles(Tensor::zeros({0, 3}), std::array{50.0})[0]));
}

TEST(Percentiles, OfInfiniteValuesAreInfinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values{1, infinity, infinity, infinity};
  expect_near(percentiles(values, std::array{0.0}), {1});
  EXPECT_EQ(percentiles(values, std::array{50.0})[0], infinity);
}

TEST(Percentiles, LeaveTheirTensorAlone) {
  const Tensor x = squares();
  const Tensor before = x.clone();
  percentiles(x, kThree);
  EXPECT_EQ(std::memcmp(x.raw(), before.raw(), x.bytes()), 0);
}

TEST(Percentiles, RefuseWhatTheyCannotTake) {
  EXPECT_TRUE(contains(error_of<UsageError>([] { percentiles(squares(), std::array{101.0}); }),
                       "from 0 to 100, got 101"));
  EXPECT_TRUE(contains(
      error_of<UsageError>([] { percentiles(Tensor::zeros({3}, DType::i64), std::array{50.0}); }),
      "got i64"));
  EXPECT_TRUE(
      contains(error_of<ShapeError>([] { percentiles_of_unit(squares(), 3, std::array{50.0}); }),
               "expected a unit of 3 in dimension 1 of [2, 3, 2, 2], got number 3"));
  EXPECT_NE(
      error_of<ShapeError>([] { percentiles_of_unit(Tensor::zeros({3}), 0, std::array{50.0}); }),
      "no error");
}

}  // namespace
}  // namespace evenkeel::train
