// Normalization, layout and augmentation of batches, seen through the loader.
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "data/support.h"
#include <evenkeel/data/loader.h>

namespace evenkeel::data {
namespace {

std::vector<float> values_of(const Tensor& tensor) {
  const auto values = tensor.span<float>();
  return {values.begin(), values.end()};
}

Batch whole(const Dataset& data, LoaderOptions options, std::int64_t epoch = 0) {
  options.batch_size = data.size();
  Loader loader(data, options);
  return collect(loader, epoch).at(0);
}

TEST(Batch, BytesAreScaledToOneAndNormalizedPerChannel) {
  Dataset data;
  data.samples = Tensor::from<std::uint8_t>({0, 255, 51, 102}, {1, 2, 1, 2});
  data.labels = {0};
  const Batch batch = whole(data, {.normalization = {{0.5F, 0.2F}, {0.25F, 2.0F}}});
  EXPECT_EQ(values_of(batch.x),
            (std::vector<float>{(0.0F - 0.5F) / 0.25F, (1.0F - 0.5F) / 0.25F,
                                (51.0F / 255.0F - 0.2F) / 2.0F, (102.0F / 255.0F - 0.2F) / 2.0F}));
}

TEST(Batch, WithoutNormalizationBytesAreOnlyScaled) {
  Dataset data;
  data.samples = Tensor::from<std::uint8_t>({0, 255, 51}, {1, 1, 1, 3});
  data.labels = {0};
  EXPECT_EQ(values_of(whole(data, {}).x), (std::vector<float>{0, 1, 51.0F / 255.0F}));
}

TEST(Batch, FloatsAreNormalizedPerFeatureWithoutScaling) {
  Dataset data;
  data.samples = Tensor::from<float>({1, 20, 3, 40}, {2, 2});
  data.labels = {0, 1};
  const Batch batch = whole(data, {.normalization = {{2, 30}, {0.5F, 10}}});
  EXPECT_EQ(values_of(batch.x), (std::vector<float>{-2, -1, 2, 1}));
}

TEST(Batch, MeasuredNormalizationGivesMeanZeroAndVarianceOne) {
  const Dataset data = counting_bytes({20, 2, 5, 5});
  const Normalization normalization = measure_normalization(data);
  const auto values = values_of(whole(data, {.normalization = normalization}).x);
  double sum = 0;
  double squares = 0;
  for (const float v : values) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  EXPECT_NEAR(sum / 1000, 0.0, 1e-6);
  EXPECT_NEAR(squares / 1000, 1.0, 1e-5);
}

RC_GTEST_PROP(Batch, ChannelsLastIsTheSameBatchLaidOutOtherwise, ()) {
  const auto n = *rc::gen::inRange<std::int64_t>(1, 6);
  const auto c = *rc::gen::inRange<std::int64_t>(1, 5);
  const auto side = *rc::gen::inRange<std::int64_t>(2, 7);
  const Dataset data = counting_bytes({n, c, side, side + 1});
  LoaderOptions options{.shuffle = true, .augment = {.flip = true, .crop = 2}};
  options.normalization = measure_normalization(data);
  const Batch first = whole(data, options);
  options.layout = Layout::channels_last;
  const Batch last = whole(data, options);
  RC_ASSERT(last.x.layout() == Layout::channels_last);
  RC_ASSERT(last.x.shape() == first.x.shape());
  RC_ASSERT(values_of(last.x.to(Layout::channels_first)) == values_of(first.x));
}

TEST(Batch, ChannelsLastDatasetsAreReadAlike) {
  Dataset data = counting_bytes({5, 3, 4, 4});
  const Batch wanted = whole(data, {});
  data.samples = data.samples.to(Layout::channels_last);
  EXPECT_TRUE(same(whole(data, {}), wanted));
}

TEST(Batch, SamplesOfAnyRankPassThrough) {
  for (const Shape& shape : {Shape{3, 4}, Shape{3, 4, 5}, Shape{3, 2, 2, 2, 2}}) {
    const Dataset data = counting_bytes(shape);
    const Batch batch = whole(data, {});
    EXPECT_EQ(batch.x.shape(), shape);
    EXPECT_EQ(batch.x.data<float>()[shape.numel() - 1], static_cast<float>(shape.numel()) / 255.0F);
  }
}

/// What the augmentation may make of an image, by its definition: pad, crop, mirror.
std::vector<float> shown(const Dataset& data, std::int64_t sample, std::int64_t top,
                         std::int64_t left, bool mirrored, std::int64_t crop, float mean) {
  const std::int64_t channels = data.samples.dim(1);
  const std::int64_t height = data.samples.dim(2);
  const std::int64_t width = data.samples.dim(3);
  const auto* bytes = data.samples.data<std::uint8_t>() + sample * channels * height * width;
  std::vector<float> result;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t row = y + top - crop;
        const std::int64_t column = (mirrored ? width - 1 - x : x) + left - crop;
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        const int raw = inside ? bytes[(c * height + row) * width + column] : 0;
        result.push_back(static_cast<float>(raw) / 255.0F - mean);
      }
    }
  }
  return result;
}

TEST(Augmentation, EveryViewIsACropOfThePaddedImageAndEachOccurs) {
  constexpr std::int64_t kCrop = 2;
  const Dataset data = counting_bytes({1, 2, 4, 5});
  std::map<std::vector<float>, int> views;
  for (std::int64_t top = 0; top <= 2 * kCrop; ++top) {
    for (std::int64_t left = 0; left <= 2 * kCrop; ++left) {
      for (const bool mirrored : {false, true}) {
        views[shown(data, 0, top, left, mirrored, kCrop, 0.25F)] = 0;
      }
    }
  }
  ASSERT_EQ(views.size(), 50U);
  Loader loader(data, {.batch_size = 1,
                       .augment = {.flip = true, .crop = kCrop},
                       .normalization = {{0.25F, 0.25F}, {1, 1}},
                       .prefetch = false});
  for (std::int64_t epoch = 0; epoch < 2000; ++epoch) {
    const auto found = views.find(values_of(collect(loader, epoch).at(0).x));
    ASSERT_NE(found, views.end());
    ++found->second;
  }
  // 40 expected, with a standard deviation of 6.3.
  for (const auto& [view, count] : views) {
    EXPECT_GT(count, 12);
    EXPECT_LT(count, 80);
  }
}

TEST(Augmentation, FlipMirrorsAboutHalfOfTheImages) {
  const Dataset data = counting_bytes({400, 1, 1, 2});
  const Batch plain = whole(data, {});
  const Batch flipped = whole(data, {.augment = {.flip = true}});
  int mirrored = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    const float* a = plain.x.data<float>() + 2 * i;
    const float* b = flipped.x.data<float>() + 2 * i;
    const bool is_mirrored = a[0] == b[1] && a[1] == b[0];
    EXPECT_TRUE(is_mirrored || (a[0] == b[0] && a[1] == b[1]));
    mirrored += is_mirrored ? 1 : 0;
  }
  EXPECT_GT(mirrored, 150);
  EXPECT_LT(mirrored, 250);
}

TEST(Augmentation, OfASampleDoesNotDependOnItsPlaceInTheEpoch) {
  const Dataset data = counting_bytes({25, 1, 3, 3});
  const LoaderOptions options{.augment = {.flip = true, .crop = 1}, .seed = 3};
  const Batch in_order = whole(data, options, 6);
  LoaderOptions shuffled = options;
  shuffled.shuffle = true;
  shuffled.batch_size = 4;
  Loader loader(data, shuffled);
  std::multiset<std::vector<float>> wanted;
  std::multiset<std::vector<float>> found;
  const auto add = [](std::multiset<std::vector<float>>& set, const Batch& batch) {
    for (std::int64_t i = 0; i < batch.size(); ++i) {
      set.insert(values_of(batch.x.slice(i, i + 1)));
    }
  };
  add(wanted, in_order);
  for (const Batch& batch : collect(loader, 6)) add(found, batch);
  EXPECT_EQ(found, wanted);
}

TEST(Augmentation, ChangesFromEpochToEpoch) {
  const Dataset data = counting_bytes({25, 1, 3, 3});
  const LoaderOptions options{.augment = {.flip = true, .crop = 1}};
  EXPECT_FALSE(same(whole(data, options, 0), whole(data, options, 1)));
}

TEST(Augmentation, NeedsImages) {
  EXPECT_SAYS(message_of<UsageError>([] { Loader(numbered_rows(4), {.augment = {.flip = true}}); }),
              "[4, 1]");
  EXPECT_THROW(Loader(counting_bytes({4, 3, 8}), {.augment = {.crop = 1}}), UsageError);
}

TEST(Augmentation, CropOutOfRangeIsRefused) {
  const Dataset data = counting_bytes({4, 1, 5, 3});
  EXPECT_SAYS(message_of<UsageError>([&] { Loader(data, {.augment = {.crop = -1}}); }), "got -1");
  EXPECT_SAYS(message_of<UsageError>([&] { Loader(data, {.augment = {.crop = 4}}); }), "side of 3");
  EXPECT_NO_THROW(Loader(data, {.augment = {.crop = 3}}));
}

}  // namespace
}  // namespace evenkeel::data
