// Images that are changed one by one, and how far outputs move.
#include "lab/outputs.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace evenkeel::lab {
namespace {

/// So many images of two values, the smallest and the largest there are.
data::Dataset extremes(std::int64_t count) {
  std::vector<std::uint8_t> values;
  for (std::int64_t i = 0; i < count; ++i) values.insert(values.end(), {0, 255});
  data::Dataset images;
  images.samples = Tensor::from<std::uint8_t>(values, {count, 1, 1, 2});
  images.labels.assign(static_cast<std::size_t>(count), 0);
  images.classes = 1;
  return images;
}

TEST(ShiftedEach, gives_every_image_a_contrast_and_a_brightness_of_its_own_without_clipping) {
  const std::int64_t count = 200;
  const data::Dataset moved = shifted_each(extremes(count), 0.2, 1);
  const auto values = moved.samples.span<std::uint8_t>();
  std::set<int> contrasts, middles;
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const int contrast = values[i + 1] - values[i];  // in 255ths
    EXPECT_GE(contrast, 50);
    contrasts.insert(contrast);
    middles.insert((values[i + 1] + values[i]) / 2);
  }
  EXPECT_GT(contrasts.size(), 100U);
  EXPECT_LT(*contrasts.begin(), 65);
  EXPECT_GT(*contrasts.rbegin(), 240);
  EXPECT_GT(middles.size(), 60U);
  // Brightness goes both ways, and neither end piles up, as clipped values would.
  EXPECT_LT(*middles.begin(), 90);
  EXPECT_GT(*middles.rbegin(), 165);
  EXPECT_LT(std::ranges::count(values, 255), count / 10);
  EXPECT_LT(std::ranges::count(values, 0), count / 10);
}

TEST(ShiftedEach, repeats_with_its_seed_and_leaves_what_it_got) {
  const data::Dataset images = extremes(20);
  const auto of = [&](double least, std::uint64_t seed) {
    const data::Dataset moved = shifted_each(images, least, seed);
    const auto values = moved.samples.span<std::uint8_t>();
    return std::vector<std::uint8_t>(values.begin(), values.end());
  };
  EXPECT_EQ(of(0.5, 1), of(0.5, 1));
  EXPECT_NE(of(0.5, 1), of(0.5, 2));
  const auto before = images.samples.span<std::uint8_t>();
  EXPECT_TRUE(std::ranges::equal(of(1, 1), before));
  EXPECT_EQ(before[1], 255);
}

TEST(ChangeOf, is_in_deviations_of_the_outputs) {
  const Tensor before = Tensor::from<float>({-1, 1, -1, 1}, {4, 1});
  const Tensor after = Tensor::from<float>({-0.5F, 1.5F, -0.5F, 1.5F}, {4, 1});
  EXPECT_DOUBLE_EQ(change_of(before, after), 0.5);
  EXPECT_EQ(change_of(before, before), 0);
}

}  // namespace
}  // namespace evenkeel::lab
