#include <algorithm>
#include <array>
#include <set>

#include "data/support.h"
#include <evenkeel/core/parallel.h>
#include <evenkeel/data/glyphs.h>

namespace evenkeel::data {
namespace {

std::string bytes_of(const Dataset& data) {
  const auto bytes = data.samples.span<std::uint8_t>();
  return {bytes.begin(), bytes.end()};
}

/// FNV-1a over the images, then the labels.
std::uint64_t fingerprint(const Dataset& data) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto eat = [&](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3u; };
  for (const std::uint8_t byte : data.samples.span<std::uint8_t>()) eat(byte);
  for (const std::int32_t label : data.labels) eat(static_cast<std::uint64_t>(label));
  return hash;
}

TEST(Glyphs, AreGreyImagesOfTenClasses) {
  const Dataset data = make_glyphs(50, 3);
  EXPECT_EQ(data.samples.shape(), Shape({50, 1, 28, 28}));
  EXPECT_EQ(data.samples.dtype(), DType::u8);
  EXPECT_EQ(data.labels.size(), 50U);
  EXPECT_EQ(data.classes, 10);
  EXPECT_EQ(data.class_names.size(), 10U);
}

// Accuracies are compared across machines and versions: whatever changes these bytes is a new data
// set and needs a new name.
TEST(Glyphs, AreFrozen) {
  EXPECT_EQ(fingerprint(make_glyphs(64, 1)), 11908665864831758081u);
  EXPECT_EQ(fingerprint(make_glyphs(64, 2)), 18042648199650307328u);
}

TEST(Glyphs, SampleDependsOnSeedAndNumberOnly) {
  const Dataset few = make_glyphs(7, 5);
  const Dataset many = make_glyphs(100, 5);
  EXPECT_EQ(bytes_of(few), bytes_of(many.slice(0, 7)));
  EXPECT_EQ(few.labels, many.slice(0, 7).labels);
}

TEST(Glyphs, DoNotDependOnTheNumberOfThreads) {
  const int threads = max_threads();
  const auto reference = bytes_of(make_glyphs(200, 9));
  for (const int count : {1, 2, 3, 8}) {
    set_max_threads(count);
    EXPECT_EQ(bytes_of(make_glyphs(200, 9)), reference) << count << " threads";
  }
  set_max_threads(threads);
}

TEST(Glyphs, DifferFromSeedToSeedAndSampleToSample) {
  std::set<std::string> seen;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const Dataset data = make_glyphs(100, seed);
    for (std::int64_t i = 0; i < 100; ++i) seen.insert(bytes_of(data.slice(i, i + 1)));
  }
  EXPECT_EQ(seen.size(), 300U);
}

TEST(Glyphs, ClassesAreAboutEquallyFrequent) {
  std::array<int, 10> counts{};
  for (const std::int32_t label : make_glyphs(5000, 1).labels) {
    ++counts.at(static_cast<std::size_t>(label));
  }
  // 500 each with a standard deviation of 21.
  EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 400);
  EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 600);
}

TEST(Glyphs, HaveInkAndPaper) {
  const Dataset data = make_glyphs(500, 4);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    const std::string bytes = bytes_of(data.slice(i, i + 1));
    std::vector<std::uint8_t> pixels(bytes.begin(), bytes.end());
    std::sort(pixels.begin(), pixels.end());
    EXPECT_GT(pixels[pixels.size() - 20] - pixels[pixels.size() / 2], 50) << "sample " << i;
  }
}

TEST(Glyphs, NegativeCountIsRefused) {
  EXPECT_SAYS(message_of<UsageError>([] { make_glyphs(-1, 1); }), "got -1");
}

TEST(Glyphs, ZeroGlyphsAreAnEmptyDataset) { EXPECT_EQ(make_glyphs(0, 1).size(), 0); }

/// Softmax regression by plain gradient descent: what a linear model can make of the pixels.
double linear_accuracy(const Dataset& train, const Dataset& test) {
  constexpr std::size_t kPixels = 784;
  std::vector<float> weights(10 * (kPixels + 1), 0.0F);
  const auto scores = [&](const std::uint8_t* pixels) {
    std::array<float, 10> result{};
    for (std::size_t k = 0; k < 10; ++k) {
      const float* w = weights.data() + k * (kPixels + 1);
      float sum = w[kPixels];
      for (std::size_t i = 0; i < kPixels; ++i) sum += w[i] * static_cast<float>(pixels[i]) / 255;
      result[k] = sum;
    }
    return result;
  };
  for (int epoch = 0; epoch < 5; ++epoch) {
    const float rate = 0.02F / static_cast<float>(epoch + 1);
    for (std::int64_t n = 0; n < train.size(); ++n) {
      const std::uint8_t* pixels = train.samples.data<std::uint8_t>() + n * 784;
      auto p = scores(pixels);
      const float top = *std::max_element(p.begin(), p.end());
      float total = 0;
      for (float& value : p) total += value = std::exp(value - top);
      for (std::size_t k = 0; k < 10; ++k) {
        const bool right = static_cast<std::size_t>(train.labels[static_cast<std::size_t>(n)]) == k;
        const float step = rate * ((right ? 1.0F : 0.0F) - p[k] / total);
        float* w = weights.data() + k * (kPixels + 1);
        for (std::size_t i = 0; i < kPixels; ++i)
          w[i] += step * static_cast<float>(pixels[i]) / 255;
        w[kPixels] += step;
      }
    }
  }
  int right = 0;
  for (std::int64_t n = 0; n < test.size(); ++n) {
    const auto p = scores(test.samples.data<std::uint8_t>() + n * 784);
    right += std::max_element(p.begin(), p.end()) - p.begin() ==
             test.labels[static_cast<std::size_t>(n)];
  }
  return static_cast<double>(right) / static_cast<double>(test.size());
}

TEST(Glyphs, AreHarderThanALinearModelButNotNoise) {
  const double accuracy = linear_accuracy(make_glyphs(10'000, 1), make_glyphs(2'000, 2));
  EXPECT_LT(accuracy, 0.90);
  EXPECT_GT(accuracy, 0.60);
}

}  // namespace
}  // namespace evenkeel::data
