#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "data/support.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <evenkeel/data/dataset.h>

namespace evenkeel::data {
namespace {

TEST(Dataset, SliceIsAViewOfSamplesWithTheirLabels) {
  const Dataset all = counting_bytes({12, 1, 2, 2});
  const Dataset part = all.slice(3, 5);
  EXPECT_EQ(part.samples.shape(), Shape({2, 1, 2, 2}));
  EXPECT_EQ(part.samples.raw(), all.samples.data<std::uint8_t>() + 12);
  EXPECT_EQ(part.labels, (std::vector<std::int32_t>{3, 4}));
  EXPECT_EQ(part.classes, 10);
}

TEST(Dataset, SliceOutsideIsRefused) {
  const Dataset all = counting_bytes({4, 1, 2, 2});
  EXPECT_THROW(all.slice(2, 5), ShapeError);
  EXPECT_THROW(all.slice(-1, 2), ShapeError);
  EXPECT_THROW(all.slice(3, 2), ShapeError);
}

TEST(Dataset, SelectCopiesInTheOrderGiven) {
  const Dataset all = numbered_rows(6);
  const Dataset part = all.select({5, 0, 5});
  EXPECT_EQ(part.labels, (std::vector<std::int32_t>{5, 0, 5}));
  const auto values = part.samples.span<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{5, 0, 5}));
}

TEST(Dataset, SelectOfNothingKeepsTheShapeOfASample) {
  const Dataset part = counting_bytes({4, 3, 2, 2}).select({});
  EXPECT_EQ(part.size(), 0);
  EXPECT_EQ(part.sample_shape(), Shape({3, 2, 2}));
}

TEST(Dataset, SelectOutsideIsRefused) {
  const Dataset all = numbered_rows(6);
  EXPECT_SAYS(message_of<ShapeError>([&] { (void)all.select({0, 6}); }), "got 6");
  EXPECT_SAYS(message_of<ShapeError>([&] { (void)all.select({-1}); }), "got -1");
}

TEST(MeasureNormalization, OfImagesIsPerChannelOfValuesScaledToOne) {
  Dataset data;
  data.samples = Tensor::from<std::uint8_t>({0, 255, 51, 51, 255, 0, 51, 51}, {2, 2, 1, 2});
  data.labels = {0, 0};
  const Normalization result = measure_normalization(data);
  EXPECT_EQ(result.mean, (std::vector<float>{0.5F, 0.2F}));
  EXPECT_EQ(result.stddev, (std::vector<float>{0.5F, 1.0F}));
}

TEST(MeasureNormalization, OfTablesIsPerFeature) {
  Dataset data;
  data.samples = Tensor::from<float>({1, -10, 3, 10, 5, 0}, {3, 2});
  const Normalization result = measure_normalization(data);
  EXPECT_EQ(result.mean, (std::vector<float>{3, 0}));
  EXPECT_FLOAT_EQ(result.stddev[0], std::sqrt(8.0F / 3));
  EXPECT_FLOAT_EQ(result.stddev[1], std::sqrt(200.0F / 3));
}

TEST(MeasureNormalization, OfAConstantFeatureHasDeviationOne) {
  Dataset data;
  data.samples = Tensor::full({1000, 1}, 0.1);
  const Normalization result = measure_normalization(data);
  EXPECT_EQ(result.mean[0], 0.1F);
  EXPECT_EQ(result.stddev[0], 1.0F);
}

TEST(MeasureNormalization, KeepsItsDigitsFarFromZero) {
  Dataset data;
  data.samples = Tensor::from<float>({1e6F - 1, 1e6F + 1, 1e6F - 1, 1e6F + 1}, {4, 1});
  const Normalization result = measure_normalization(data);
  EXPECT_EQ(result.mean[0], 1e6F);
  EXPECT_EQ(result.stddev[0], 1.0F);
}

TEST(MeasureNormalization, RefusesValuesThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Dataset data;
    data.samples = Tensor::from<float>({1, 2, 3, bad}, {2, 2});
    EXPECT_SAYS(message_of<NumericError>([&] { measure_normalization(data); }), "feature 1");
  }
}

TEST(MeasureNormalization, RefusesNoSamples) {
  EXPECT_THROW(measure_normalization(counting_bytes({0, 1, 2, 2})), ShapeError);
  EXPECT_THROW(measure_normalization(Dataset{}), ShapeError);
}

RC_GTEST_PROP(MeasureNormalization, AgreesWithTheDefinition, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(1, 3000);
  const auto c = *rc::gen::inRange<std::int64_t>(1, 4);
  Dataset data;
  data.samples = Tensor::empty({n, c, 1, 3}, DType::u8);
  Random random(*rc::gen::arbitrary<std::uint64_t>());
  for (auto& byte : data.samples.span<std::uint8_t>()) {
    byte = static_cast<std::uint8_t>(random.below(256));
  }
  const Normalization result = measure_normalization(data);
  for (std::int64_t channel = 0; channel < c; ++channel) {
    double sum = 0;
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t s = 0; s < 3; ++s) {
        const double v = data.samples.data<std::uint8_t>()[(i * c + channel) * 3 + s] / 255.0;
        sum += v;
        squares += v * v;
      }
    }
    const double mean = sum / static_cast<double>(3 * n);
    const double variance = squares / static_cast<double>(3 * n) - mean * mean;
    const auto at = static_cast<std::size_t>(channel);
    RC_ASSERT(std::abs(result.mean[at] - mean) < 1e-6);
    RC_ASSERT(variance < 1e-9 || std::abs(result.stddev[at] - std::sqrt(variance)) < 1e-6);
  }
}

}  // namespace
}  // namespace evenkeel::data
