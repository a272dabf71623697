// Data for experiments: which serve, and what is made of them.
#include "lab/material.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "lab/folder.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/npy.h>

namespace evenkeel::lab {
namespace {

const Material& glyphs() {
  static const Material material = open_material("glyphs:train=350,test=40");
  return material;
}

TEST(Material, HoldsBackAPartToChooseBy) {
  EXPECT_EQ(glyphs().splits.train.size(), 300);
  EXPECT_EQ(glyphs().splits.validation.size(), 50);
  EXPECT_EQ(glyphs().splits.test.size(), 40);
  EXPECT_THROW(open_material("glyphs:train=60,test=40"), UsageError);
  const Material few = glyphs().limited(100, 0, 7);
  EXPECT_EQ(few.splits.train.size(), 100);
  EXPECT_EQ(few.splits.validation.size(), 50);
  EXPECT_EQ(few.splits.test.size(), 7);
}

TEST(Material, SaysWhyItDoesNotServe) {
  for (const Needs needs : {Needs::features, Needs::images, Needs::sequences}) {
    EXPECT_EQ(why_not(glyphs(), needs), "");
  }
  const Material sequences = as_sequences(glyphs());
  EXPECT_EQ(why_not(sequences, Needs::sequences), "");
  EXPECT_NE(why_not(sequences, Needs::images).find("needs images"), std::string::npos);
  EXPECT_NE(why_not(sequences, Needs::features).find("one length"), std::string::npos);
}

TEST(Material, ImagesBecomeSequencesOfTheirRows) {
  const Material sequences = as_sequences(glyphs());
  const data::Dataset& steps = sequences.splits.train;
  const data::Dataset& images = glyphs().splits.train;
  EXPECT_EQ(steps.samples.shape(), (Shape{300, 28, 28}));
  EXPECT_EQ(steps.labels, images.labels);
  const auto [least, most] = std::ranges::minmax(steps.lengths);
  EXPECT_GE(least, 14);
  EXPECT_LE(most, 28);
  EXPECT_GT(most, least);
  // The first and the last step are the image's first and last row, and padding is zero.
  for (std::int64_t i = 0; i < 20; ++i) {
    const std::int64_t length = steps.lengths[static_cast<std::size_t>(i)];
    for (std::int64_t w = 0; w < 28; ++w) {
      const float* const values = steps.samples.data<float>() + (i * 28 + w) * 28;
      const std::uint8_t* const image = images.samples.data<std::uint8_t>() + i * 784;
      EXPECT_FLOAT_EQ(values[0], static_cast<float>(image[w]) / 255);
      EXPECT_FLOAT_EQ(values[length - 1], static_cast<float>(image[27 * 28 + w]) / 255);
      for (std::int64_t t = length; t < 28; ++t) EXPECT_EQ(values[t], 0);
    }
  }
}

TEST(Material, ShiftsContrastAndBrightnessAndClips) {
  data::Dataset one;
  one.samples = Tensor::from<std::uint8_t>({0, 51, 204, 255}, {1, 1, 2, 2});
  one.labels = {0};
  one.classes = 1;
  const data::Dataset moved = shifted(one, 0.5, 0.3);
  const auto values = moved.samples.span<std::uint8_t>();
  EXPECT_EQ(values[0], 140);  // (0 − 0.5)·0.5 + 0.8 = 0.55
  EXPECT_EQ(values[1], 166);  // 0.65
  EXPECT_EQ(values[2], 242);  // 0.95
  EXPECT_EQ(values[3], 255);  // 1.05, clipped
  EXPECT_EQ(one.samples.span<std::uint8_t>()[0], 0);
}

TEST(Material, TestsInAnOrderOfItsOwn) {
  // A file whose test part is sorted by label: the first of its samples would be of one class.
  const testing::Folder folder;
  const std::int64_t n = 200;
  Tensor x = Tensor::zeros({n, 2}), y = Tensor::zeros({n}, DType::i64);
  for (std::int64_t i = 0; i < n; ++i) {
    x.data<float>()[2 * i] = static_cast<float>(i);
    y.data<std::int64_t>()[i] = i / 50;
  }
  io::write_npz(folder / "sorted.npz",
                {{"x_train", x}, {"y_train", y}, {"x_test", x}, {"y_test", y}});
  const std::string spec = "npz:" + (folder / "sorted.npz").string();
  const Material material = open_material(spec);
  const data::Dataset& test = material.splits.test;
  EXPECT_FALSE(std::ranges::is_sorted(test.labels));
  for (std::int64_t i = 0; i < n; ++i) {  // labels went with their samples, and none was lost
    const auto at = static_cast<std::int64_t>(test.samples.data<float>()[2 * i]);
    EXPECT_EQ(test.labels[static_cast<std::size_t>(i)], at / 50);
  }
  auto labels = test.labels;
  std::ranges::sort(labels);
  for (std::int64_t i = 0; i < n; ++i) EXPECT_EQ(labels[static_cast<std::size_t>(i)], i / 50);
  const Material few = material.limited(0, 0, 40);
  for (const std::int64_t label : {0, 1, 2, 3}) {
    EXPECT_GE(std::ranges::count(few.splits.test.labels, label), 2) << label;
  }
  EXPECT_EQ(open_material(spec).splits.test.labels, test.labels);
}

TEST(Material, SortsByLabelAndKeepsTheOrderWithin) {
  const data::Dataset sorted = sorted_by_label(glyphs().splits.test);
  EXPECT_TRUE(std::ranges::is_sorted(sorted.labels));
  EXPECT_EQ(sorted.size(), 40);
}

}  // namespace
}  // namespace evenkeel::lab
