#include <clocale>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "io/io_testing.h"
#include <evenkeel/io/sequences.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::TempFolder;

using Floats = std::vector<float>;
using Counts = std::vector<std::int64_t>;
using Words = std::vector<std::string>;

class SequenceFile : public ::testing::Test {
 protected:
  Sequences read(std::string_view text) {
    testing::write_bytes(file_, text);
    return read_sequences(file_);
  }
  Sequences vowels(std::string_view text) {
    testing::write_bytes(file_, text);
    return read_vowels(file_);
  }
  std::string refusal(std::string_view text) {
    return message_of([&] { read(text); });
  }
  std::string vowels_refusal(std::string_view text) {
    return message_of([&] { vowels(text); });
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "spoken words.txt";
};

TEST_F(SequenceFile, a_class_line_begins_a_sequence_and_each_line_is_a_step) {
  const Sequences all = read("class yes\n1 2\n3 4\nclass no\n5 6\nclass yes\n7 8\n");
  EXPECT_EQ(all.features, 2);
  EXPECT_EQ(all.values, (Floats{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(all.lengths, (Counts{2, 1, 1}));
  EXPECT_EQ(all.labels, (Words{"yes", "no", "yes"}));
}

TEST_F(SequenceFile, separators_comments_and_line_ends_are_free) {
  const Sequences all = read(
      "\xEF\xBB\xBF# words\r\n\r\n  class  to be # or not\r\n1,2\t-3e1 # a step\r\n"
      "  4 , 5 ,6  \r\n\nclass 2\n+.5 1e-60 0");
  EXPECT_EQ(all.values, (Floats{1, 2, -30, 4, 5, 6, 0.5F, 0, 0}));
  EXPECT_EQ(all.lengths, (Counts{2, 1}));
  EXPECT_EQ(all.labels, (Words{"to be", "2"}));
}

TEST_F(SequenceFile, faults_name_file_and_line) {
  const std::string count = refusal("class a\n1 2\n\n3\n");
  EXPECT_TRUE(contains(count, "spoken words.txt")) << count;
  EXPECT_TRUE(contains(count, "line 4: expected 2 values as in line 2, got 1")) << count;
  EXPECT_TRUE(contains(refusal("class a\n1\nclass b\n2 3\n"), "line 4"));
  EXPECT_TRUE(contains(refusal("class a\n,\n1\n"), "line 2: expected numbers, got ','"));
  EXPECT_TRUE(contains(refusal("class a\n1 x\n"), "line 2: expected numbers, got 'x'"));
  EXPECT_TRUE(contains(refusal("class a\n1\nnan\n"), "line 3: expected finite numbers"));
  EXPECT_TRUE(contains(refusal("class a\n1e39\n"), "at most 3.4e38"));
  EXPECT_TRUE(contains(refusal("# a\n1 2\n"), "line 2: expected class NAME before"));
  EXPECT_TRUE(contains(refusal("class a\n1\nclass b\nclass c\n"), "line 3: expected steps"));
  EXPECT_TRUE(contains(refusal("class a\n1\nclass b\n"), "line 3: expected steps"));
  EXPECT_TRUE(contains(refusal("class\n1\n"), "line 1: expected a name"));
  EXPECT_TRUE(contains(refusal("classy\n1\n"), "got 'classy'"));
  EXPECT_TRUE(contains(refusal("# nothing\n"), "got none"));
  EXPECT_TRUE(contains(refusal(""), "got none"));
}

TEST_F(SequenceFile, vowels_end_with_a_line_of_ones_or_an_empty_line) {
  const Sequences all = vowels("1 2\n3 4\n1.0 1.0\n1 0\n1 1.0 \n\n5 6\n\n\n7 8");
  EXPECT_EQ(all.values, (Floats{1, 2, 3, 4, 1, 0, 5, 6, 7, 8}));
  EXPECT_EQ(all.lengths, (Counts{2, 1, 1, 1}));
  EXPECT_TRUE(all.labels.empty());
}

TEST_F(SequenceFile, vowels_faults_name_the_line) {
  EXPECT_TRUE(contains(vowels_refusal("1 2\n1 1\n1 1\n"), "line 3: expected steps before"));
  EXPECT_TRUE(contains(vowels_refusal("1 2\n1 2 3\n"), "line 2: expected 2 values"));
  EXPECT_TRUE(contains(vowels_refusal("\n\n"), "got none"));
}

TEST_F(SequenceFile, either_form_is_told_by_its_first_line) {
  testing::write_bytes(file_, "# words\n\nclass a\n1\n2\nclass b\n3\n");
  EXPECT_EQ(read_any_sequences(file_).labels, (Words{"a", "b"}));
  testing::write_bytes(file_, "1\n2\n\n3\n");
  EXPECT_EQ(read_any_sequences(file_).lengths, (Counts{2, 1}));
  testing::write_bytes(file_, "1\nclass a\n2\n");
  EXPECT_TRUE(contains(message_of([&] { read_any_sequences(file_); }), "line 2"));
}

TEST_F(SequenceFile, a_missing_file_is_named) {
  EXPECT_TRUE(contains(message_of([&] { read_sequences(folder_ / "away.txt"); }), "away.txt"));
}

RC_GTEST_FIXTURE_PROP(SequenceFile, any_bytes_are_read_or_refused, ()) {
  const auto piece =
      rc::gen::element<std::string>("class a\n", "class", "1 2\n", "1\n", "1.0 1.0\n", "\n", "#",
                                    "e", "-", ",", "\r\n", "\0", "9e99");
  std::string text;
  for (const std::string& one : *rc::gen::container<std::vector<std::string>>(piece)) text += one;
  testing::write_bytes(file_, text);
  for (const auto& read_file : {read_sequences, read_vowels, read_any_sequences}) {
    try {
      const Sequences all = read_file(file_);
      std::int64_t steps = 0;
      for (const std::int64_t length : all.lengths) {
        RC_ASSERT(length > 0);
        steps += length;
      }
      RC_ASSERT(static_cast<std::int64_t>(all.values.size()) == steps * all.features);
    } catch (const IoError& error) {
      RC_ASSERT(contains(error.what(), "spoken words.txt"));
    }
  }
}

}  // namespace
}  // namespace evenkeel::io
