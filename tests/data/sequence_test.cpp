// Sequences of different lengths, from files to batches.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>

#include "data/support.h"
#include <evenkeel/data/source.h>

namespace evenkeel::data {
namespace {

using Counts = std::vector<std::int64_t>;

constexpr std::string_view kTrain =
    "class b\n1 10\n2 20\n3 30\n"
    "class a\n4 40\n"
    "class b\n5 50\n6 60\n";
constexpr std::string_view kTest = "class c\n7 70\n8 80\n9 90\n10 100\n";

std::string spec(const TemporaryFolder& folder) { return "sequence:" + folder.path().string(); }

Splits open_both(std::string_view train = kTrain, std::string_view test = kTest) {
  const TemporaryFolder folder;
  folder.write("train.txt", train);
  folder.write("test.txt", test);
  return open_source(spec(folder));
}

std::vector<float> values(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

TEST(SequenceSource, PadsBothPartsToTheLongestSequence) {
  const Splits splits = open_both();
  EXPECT_EQ(splits.train.samples.shape(), Shape({3, 2, 4}));
  EXPECT_EQ(splits.test.samples.shape(), Shape({1, 2, 4}));
  EXPECT_EQ(splits.train.lengths, (Counts{3, 1, 2}));
  EXPECT_EQ(splits.test.lengths, (Counts{4}));
  EXPECT_EQ(values(splits.train.samples),
            (std::vector<float>{1,  2, 3, 0, 10, 20, 30, 0, 4,  0,  0, 0,
                                40, 0, 0, 0, 5,  6,  0,  0, 50, 60, 0, 0}));
}

TEST(SequenceSource, NumbersTheClassesOfBothPartsInOrder) {
  const Splits splits = open_both();
  EXPECT_EQ(splits.train.class_names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(splits.train.labels, (std::vector<std::int32_t>{1, 0, 1}));
  EXPECT_EQ(splits.test.labels, (std::vector<std::int32_t>{2}));
  EXPECT_EQ(splits.test.classes, 3);
  const Splits numbers = open_both("class 10\n1\nclass 9\n2\n", "class 9\n1\n");
  EXPECT_EQ(numbers.train.class_names, (std::vector<std::string>{"9", "10"}));
}

TEST(SequenceSource, OneFileGivesAFifthToTheTestPart) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += fmt::format("class {}\n{}\n", i % 2, i);
  const TemporaryFolder folder;
  const Splits splits = open_source("sequence:" + folder.write("all.txt", text));
  EXPECT_EQ(splits.train.size(), 16);
  EXPECT_EQ(splits.test.size(), 4);
  EXPECT_EQ(splits.test.lengths.size(), 4U);
}

TEST(SequenceSource, LengthsStayWithTheirSequencesInEverySplit) {
  std::string text;
  for (int i = 1; i <= 12; ++i) {
    text += fmt::format("class {}\n", i % 3);
    for (int t = 0; t < i; ++t) text += fmt::format("{}\n", i);
  }
  const TemporaryFolder folder;
  folder.write("train.txt", text);
  folder.write("test.txt", text);
  const Splits splits = open_source(spec(folder), {.validation = 0.25, .seed = 3});
  EXPECT_EQ(splits.train.size(), 9);
  EXPECT_EQ(splits.validation.size(), 3);
  for (const Dataset* part : {&splits.train, &splits.validation, &splits.test}) {
    for (std::int64_t n = 0; n < part->size(); ++n) {
      EXPECT_EQ(static_cast<float>(part->lengths[static_cast<std::size_t>(n)]),
                part->samples.slice(n, n + 1).data<float>()[0]);
    }
  }
}

TEST(SequenceSource, FaultsNameWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_SAYS(message_of<IoError>([&] { open_source(spec(folder)); }), "expected train.txt");
  EXPECT_SAYS(message_of<UsageError>([] { open_source("sequence:"); }), "sequence:DIR");
  EXPECT_SAYS(message_of<IoError>([] { open_both(kTrain, "class a\n1 2 3\n"); }),
              "got 2 values per step in");
  EXPECT_SAYS(message_of<IoError>([] { open_both("class a\n1\noops\n"); }),
              "train.txt': line 3: expected numbers, got 'oops'");
}

TEST(SequenceSource, OneLongSequenceCannotBlowUpTheOthers) {
  std::string text = "class a\n";
  for (int t = 0; t < 40000; ++t) text += "1\n";
  for (int n = 0; n < 40000; ++n) text += "class b\n1\n";
  EXPECT_SAYS(message_of<IoError>([&] { open_both(text, "class a\n1\n"); }), "cut the longest");
}

TEST(SequenceSource, VowelsOfAnotherCountAreRefused) {
  const TemporaryFolder folder;
  folder.write("ae.train", "1 2\n1 1\n");
  folder.write("ae.test", "1 2\n1 1\n");
  EXPECT_SAYS(message_of<IoError>([&] { open_source(spec(folder)); }),
              "expected the 270 utterances");
}

TEST(SequenceSource, JapaneseVowels) {
  const char* folder = std::getenv("EVENKEEL_DATA");
  if (folder == nullptr || *folder == '\0') {
    GTEST_SKIP() << "EVENKEEL_DATA is not set: it names the folder with japanese_vowels/";
  }
  const Splits splits = open_source(fmt::format("sequence:{}/japanese_vowels", folder));
  EXPECT_EQ(splits.train.samples.shape(), Shape({270, 12, 29}));
  EXPECT_EQ(splits.test.samples.shape(), Shape({370, 12, 29}));
  std::map<std::int32_t, std::int64_t> counts;
  for (const std::int32_t label : splits.test.labels) ++counts[label];
  EXPECT_EQ(counts[2], 88);
  EXPECT_EQ(counts.size(), 9U);
  for (const Dataset* part : {&splits.train, &splits.test}) {
    const auto [least, most] = std::ranges::minmax(part->lengths);
    EXPECT_GE(least, 7);
    EXPECT_LE(most, 29);
  }
  // The first and the last value of the first utterance.
  EXPECT_FLOAT_EQ(splits.train.samples.data<float>()[0], 1.860936F);
}

TEST(SequenceNormalization, LeavesPaddingOut) {
  const Splits splits = open_both();
  const Normalization measured = measure_normalization(splits.train);
  EXPECT_FLOAT_EQ(measured.mean[0], 3.5F);
  EXPECT_FLOAT_EQ(measured.mean[1], 35.0F);
  EXPECT_FLOAT_EQ(measured.stddev[0], std::sqrt(35.0F / 12));
  Dataset empty_first = splits.train;
  empty_first.lengths = {0, 1, 2};
  EXPECT_FLOAT_EQ(measure_normalization(empty_first).mean[0], 5.0F);
}

TEST(SequenceBatch, IsAsLongAsItsLongestSequence) {
  Loader loader(open_both().train, {.batch_size = 2});
  const auto batches = collect(loader, 0);
  EXPECT_EQ(batches[0].x.shape(), Shape({2, 2, 3}));
  EXPECT_EQ(batches[0].lengths, (Counts{3, 1}));
  EXPECT_EQ(batches[1].x.shape(), Shape({1, 2, 2}));
  EXPECT_EQ(batches[1].lengths, (Counts{2}));
}

TEST(SequenceBatch, PaddingIsZeroBehindTheNormalizationInBothLayouts) {
  const Dataset data = open_both().train;
  LoaderOptions options{.batch_size = 3};
  options.normalization = {{1, 10}, {2, 20}};
  Loader loader(data, options);
  const std::vector<float> wanted{0,    0.5F, 1, 0, 0.5F, 1, 1.5F, 0,    0,
                                  1.5F, 0,    0, 2, 2.5F, 0, 2,    2.5F, 0};
  EXPECT_EQ(values(collect(loader, 0)[0].x), wanted);
  options.layout = Layout::channels_last;
  Loader last(data, options);
  const Batch batch = collect(last, 0)[0];
  EXPECT_EQ(batch.x.layout(), Layout::channels_last);
  EXPECT_EQ(values(batch.x.to(Layout::channels_first)), wanted);
}

TEST(SequenceBatch, ShufflesLengthsWithTheirSequences) {
  Dataset data = open_both().train;
  Loader loader(data, {.batch_size = 1, .shuffle = true});
  const std::map<std::int64_t, float> first_value{{3, 1.0F}, {1, 4.0F}, {2, 5.0F}};
  for (const Batch& batch : collect(loader, 2)) {
    EXPECT_EQ(batch.x.data<float>()[0], first_value.at(batch.lengths[0]));
  }
}

TEST(SequenceBatch, LengthsThatDoNotFitAreRefused) {
  Dataset data = open_both().train;
  data.lengths = {3, 1};
  EXPECT_SAYS(message_of<ShapeError>([&] { Loader(data, {}); }), "2 lengths");
  data.lengths = {3, 5, 1};
  EXPECT_SAYS(message_of<ShapeError>([&] { Loader(data, {}); }), "got 5 for sequence 1");
}

}  // namespace
}  // namespace evenkeel::data
