// Names, options and splits; the kinds of files have tests of their own.
#include <algorithm>
#include <limits>
#include <set>

#include "data/support.h"
#include <evenkeel/data/glyphs.h>
#include <evenkeel/data/source.h>

namespace evenkeel::data {
namespace {

std::string bytes_of(const Dataset& data) {
  const auto bytes = data.samples.span<std::uint8_t>();
  return {bytes.begin(), bytes.end()};
}

std::multiset<std::string> images_of(const Dataset& data) {
  std::multiset<std::string> result;
  for (std::int64_t i = 0; i < data.size(); ++i) result.insert(bytes_of(data.slice(i, i + 1)));
  return result;
}

TEST(Sources, AreListedWithPatternAndHelp) {
  std::vector<std::string> names;
  for (const SourceInfo& info : sources()) {
    names.push_back(info.name);
    EXPECT_EQ(info.pattern.rfind(info.name, 0), 0U) << info.pattern;
    EXPECT_FALSE(info.help.empty());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"glyphs", "mnist", "fashion-mnist", "cifar10", "csv",
                                             "npz", "sequence"}));
}

TEST(OpenSource, UnknownNameIsRefusedWithTheNearest) {
  const auto message = message_of<UsageError>([] { open_source("mnits:somewhere"); });
  EXPECT_SAYS(message, "'mnits'");
  EXPECT_SAYS(message, "did you mean 'mnist'?");
  EXPECT_SAYS(message_of<UsageError>([] { open_source(""); }), "glyphs, mnist");
}

TEST(OpenSource, SourcesOfFilesNeedAName) {
  for (const std::string name : {"mnist", "fashion-mnist", "cifar10", "csv", "npz"}) {
    EXPECT_SAYS(message_of<UsageError>([&] { open_source(name); }), name + ":");
    EXPECT_SAYS(message_of<UsageError>([&] { open_source(name + ":"); }), name + ":");
  }
}

TEST(OpenSource, GlyphsHaveDefaultSizes) {
  const Splits splits = open_source("glyphs");
  EXPECT_EQ(splits.train.size(), 10'000);
  EXPECT_EQ(splits.test.size(), 2'000);
  EXPECT_EQ(splits.validation.size(), 0);
  EXPECT_EQ(bytes_of(splits.train.slice(0, 5)), bytes_of(make_glyphs(5, 1)));
}

TEST(OpenSource, GlyphsTakeSizesAndSeed) {
  const Splits splits = open_source("glyphs:train=30,test=20,seed=7");
  EXPECT_EQ(bytes_of(splits.train), bytes_of(make_glyphs(30, 7)));
  EXPECT_EQ(splits.test.size(), 20);
}

TEST(OpenSource, TestGlyphsAreNotTrainingGlyphs) {
  const Splits splits = open_source("glyphs:train=200,test=200");
  auto images = images_of(splits.train);
  images.merge(images_of(splits.test));
  EXPECT_EQ(std::set(images.begin(), images.end()).size(), 400U);
}

TEST(OpenSource, TestGlyphsDoNotDependOnTheTrainingSize) {
  EXPECT_EQ(bytes_of(open_source("glyphs:train=10,test=9").test),
            bytes_of(open_source("glyphs:train=50,test=9").test));
}

TEST(OpenSource, GlyphOptionsAreChecked) {
  const auto said = [](const std::string& spec) {
    return message_of<UsageError>([&] { open_source(spec); });
  };
  EXPECT_SAYS(said("glyphs:trian=5"), "did you mean 'train'?");
  EXPECT_SAYS(said("glyphs:train=five"), "'five'");
  EXPECT_SAYS(said("glyphs:train=-5"), "'-5'");
  EXPECT_SAYS(said("glyphs:train="), "''");
  EXPECT_SAYS(said("glyphs:train"), "''");
  EXPECT_SAYS(said("glyphs:test=0"), "got 0");
  EXPECT_SAYS(said("glyphs:train=99999999999"), "got 99999999999");
  EXPECT_SAYS(said("glyphs:seed=99999999999999999999999"), "seed");
  EXPECT_SAYS(said("glyphs:train=5,,test=5"), "''");
}

TEST(OpenSource, ValidationIsCutFromTheTrainingPart) {
  const Splits whole = open_source("glyphs:train=100,test=10");
  const Splits cut = open_source("glyphs:train=100,test=10", {.validation = 0.2});
  EXPECT_EQ(cut.train.size(), 80);
  EXPECT_EQ(cut.validation.size(), 20);
  EXPECT_EQ(cut.validation.classes, 10);
  EXPECT_EQ(bytes_of(cut.test), bytes_of(whole.test));
  auto parts = images_of(cut.train);
  parts.merge(images_of(cut.validation));
  EXPECT_EQ(parts, images_of(whole.train));
}

TEST(OpenSource, ValidationDependsOnTheSeedOfTheSplit) {
  const auto validation = [](std::uint64_t seed) {
    return images_of(
        open_source("glyphs:train=100,test=1", {.validation = 0.2, .seed = seed}).validation);
  };
  EXPECT_EQ(validation(1), validation(1));
  EXPECT_NE(validation(1), validation(2));
}

TEST(OpenSource, EmptyValidationKnowsTheShapeOfASample) {
  const Splits splits = open_source("glyphs:train=10,test=10");
  EXPECT_EQ(splits.validation.size(), 0);
  EXPECT_EQ(splits.validation.sample_shape(), Shape({1, 28, 28}));
}

TEST(OpenSource, ValidationLeavesAndTakesAtLeastOneSample) {
  const Splits little = open_source("glyphs:train=10,test=1", {.validation = 0.001});
  EXPECT_EQ(little.validation.size(), 1);
  const Splits much = open_source("glyphs:train=10,test=1", {.validation = 0.999});
  EXPECT_EQ(much.train.size(), 1);
  EXPECT_THROW(open_source("glyphs:train=1,test=1", {.validation = 0.5}), UsageError);
}

TEST(OpenSource, ValidationOutOfRangeIsRefused) {
  for (const double part : {-0.1, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THROW(open_source("glyphs:train=10,test=1", {.validation = part}), UsageError) << part;
  }
}

}  // namespace
}  // namespace evenkeel::data
