#include <clocale>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include "io/io_testing.h"
#include <evenkeel/io/table.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::TempFolder;

class Csv : public ::testing::Test {
 protected:
  Table read(std::string_view text, const std::string& label = "") {
    testing::write_bytes(file_, text);
    return read_csv(file_, {label});
  }
  std::string refusal(std::string_view text, const std::string& label = "") {
    return message_of([&] { read(text, label); });
  }
  static std::vector<float> values(const Table& table) {
    const auto span = table.values.span<float>();
    return {span.begin(), span.end()};
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "iris table.csv";
};

using Words = std::vector<std::string>;
using Labels = std::vector<std::int32_t>;

TEST_F(Csv, values_labels_and_names_are_told_apart) {
  const Table table = read("width,height,kind\n1,2.5,rose\n-3,4e2,aster\n0,0,rose\n");
  EXPECT_EQ(table.values.shape(), (Shape{3, 2}));
  EXPECT_EQ(values(table), (std::vector<float>{1, 2.5f, -3, 400, 0, 0}));
  EXPECT_EQ(table.class_names, (Words{"aster", "rose"}));
  EXPECT_EQ(table.labels, (Labels{1, 0, 1}));
  EXPECT_EQ(table.feature_names, (Words{"width", "height"}));
}

TEST_F(Csv, a_file_without_header_line_is_all_data) {
  const Table table = read("1,2,a\n3,4,b");
  EXPECT_EQ(table.values.shape(), (Shape{2, 2}));
  EXPECT_TRUE(table.feature_names.empty());
  EXPECT_EQ(table.labels, (Labels{0, 1}));
}

TEST_F(Csv, a_column_called_label_or_class_is_the_label) {
  EXPECT_EQ(read("label,x\n7,1\n5,2\n").class_names, (Words{"5", "7"}));
  EXPECT_EQ(read("x,Class,y\n1,b,2\n").feature_names, (Words{"x", "y"}));
}

TEST_F(Csv, the_label_column_is_chosen_by_name_number_or_none) {
  const char* text = "a,b,c\n1,2,3\n";
  EXPECT_EQ(values(read(text, "b")), (std::vector<float>{1, 3}));
  EXPECT_EQ(values(read(text, "0")), (std::vector<float>{2, 3}));
  EXPECT_EQ(values(read(text, "-2")), (std::vector<float>{1, 3}));
  const Table none = read(text, "none");
  EXPECT_EQ(none.values.shape(), (Shape{1, 3}));
  EXPECT_TRUE(none.labels.empty());
  EXPECT_TRUE(none.class_names.empty());
}

TEST_F(Csv, a_label_column_that_does_not_exist_is_refused) {
  EXPECT_TRUE(contains(refusal("width,kind\n1,a\n", "widht"), "'widht'"));
  EXPECT_TRUE(contains(refusal("width,kind\n1,a\n", "widht"), "did you mean 'width'"));
  EXPECT_TRUE(contains(refusal("1,2\n", "2"), "from -2 to 1, got 2"));
  EXPECT_TRUE(contains(refusal("1,2\n", "-3"), "got -3"));
}

TEST_F(Csv, numeric_class_names_are_sorted_as_numbers) {
  EXPECT_EQ(read("1,10\n1,9\n1,-1\n").class_names, (Words{"-1", "9", "10"}));
  EXPECT_EQ(read("1,10\n1,9\n1,x\n").class_names, (Words{"10", "9", "x"}));
}

TEST_F(Csv, semicolons_tabs_and_windows_line_ends_are_understood) {
  EXPECT_EQ(values(read("x;label\r\n1;a\r\n2;b\r\n")), (std::vector<float>{1, 2}));
  EXPECT_EQ(values(read("1\t2\ta\n\n3\t4\tb\n\n")), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(read("\xEF\xBB\xBFx,label\n1,a\n").feature_names, (Words{"x"}));
}

TEST_F(Csv, quoted_fields_hold_separators_line_breaks_and_quotes) {
  const Table table =
      read("\"a,b\",\"say \"\"x\"\"\",label\n\"1\", 2 ,\"two\nlines\"\n3,4,other\n");
  EXPECT_EQ(table.feature_names, (Words{"a,b", "say \"x\""}));
  EXPECT_EQ(table.class_names, (Words{"other", "two\nlines"}));
  EXPECT_EQ(values(table), (std::vector<float>{1, 2, 3, 4}));
}

TEST_F(Csv, numbers_in_every_usual_spelling_are_rounded_correctly) {
  const Table table =
      read("+1,-.5,1e-3,1E+2,  7 ,16777217,1e-60,-1e-400,3.4028235e38,1.4e-45\n", "none");
  EXPECT_EQ(values(table),
            (std::vector<float>{1, -0.5f, 1e-3f, 100, 7, 16777216, 0, 0, 3.4028235e38f, 1.4e-45f}));
}

TEST_F(Csv, a_locale_with_decimal_commas_changes_nothing) {
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "C"}) {
    if (std::setlocale(LC_ALL, name) == nullptr) continue;
    EXPECT_EQ(values(read("1.5,2.25,a\n")), (std::vector<float>{1.5f, 2.25f})) << name;
  }
  std::setlocale(LC_ALL, "C");
}

TEST_F(Csv, the_message_names_file_line_and_column) {
  EXPECT_EQ(refusal("x,y,label\n1,2,a\n\n3,abc,b\n"),
            "[csv] '" + file_.string() + "': line 4, column 2: expected a number, got 'abc'");
  EXPECT_TRUE(contains(refusal("1,2,a\n3,b\n"), "line 2: expected 3 columns, got 2"));
  EXPECT_TRUE(contains(refusal("\"q\nq\",x,label\n1,2,a\n3,4,b,c\n"), "line 4: expected 3"));
}

TEST_F(Csv, values_that_are_not_finite_are_refused) {
  for (const char* word : {"nan", "NaN", "-nan", "inf", "-Infinity", "+inf"}) {
    EXPECT_TRUE(contains(refusal(std::string("1,2,a\n3,") + word + ",b\n"),
                         "line 2, column 2: expected a finite number"))
        << word;
  }
  for (const char* word : {"1e39", "-1e400", "1000000000000000000000000000000000000000"}) {
    EXPECT_TRUE(contains(refusal(std::string("1,2,a\n3,") + word + ",b\n"), "at most 3.4e38"))
        << word;
  }
}

TEST_F(Csv, fields_that_are_no_numbers_are_refused) {
  for (const char* word :
       {"", "1,5", "0x10", "1 2", "--1", "+-1", "1e", "1.2.3", "1_000", "\"1", "٣"}) {
    EXPECT_FALSE(refusal(std::string("1;2;a\n3;") + word + ";b\n").empty()) << word;
  }
}

TEST_F(Csv, a_damaged_first_line_is_not_taken_for_a_header) {
  EXPECT_TRUE(contains(refusal("1.5,oops,a\n1,2,b\n"), "line 1, column 2"));
}

TEST_F(Csv, files_without_rows_or_features_or_labels_are_refused) {
  EXPECT_TRUE(contains(refusal(""), "empty file"));
  EXPECT_TRUE(contains(refusal("\n \r\n"), "empty file"));
  EXPECT_TRUE(contains(refusal("x,label\n"), "header line only"));
  EXPECT_TRUE(contains(refusal("a\nb\n"), "one column"));
  EXPECT_TRUE(contains(refusal("1,\n"), "column 2: expected a label"));
}

TEST_F(Csv, lines_and_columns_have_a_limit) {
  EXPECT_TRUE(
      contains(refusal("1,a\n1," + std::string(2'000'000, 'x')), "line 2: expected at most"));
  EXPECT_TRUE(contains(refusal("\"" + std::string(2'000'000, '\n')), "opened and not closed"));
  EXPECT_TRUE(contains(refusal(std::string(300'000, ',')), "columns, got more"));
}

TEST_F(Csv, a_table_larger_than_what_is_held_of_it_is_read_whole) {
  std::string text;
  std::size_t rows = 0;
  for (; text.size() < 5'000'000; ++rows) {
    text += fmt::format("{},\"{}\n{}\"\r\n\n", rows, std::string(rows % 97, 'x'), rows % 3);
  }
  for (const bool gzip : {false, true}) {
    testing::write_bytes(file_, text);
    if (gzip) {
      gzFile out = gzopen(file_.c_str(), "wb1");
      gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
      gzclose(out);
    }
    const Table table = read_csv(file_);
    ASSERT_EQ(table.labels.size(), rows);
    for (std::size_t row = 0; row < rows; ++row) {
      ASSERT_EQ(table.values.data<float>()[row], static_cast<float>(row));
      ASSERT_EQ(table.class_names[static_cast<std::size_t>(table.labels[row])],
                fmt::format("{}\n{}", std::string(row % 97, 'x'), row % 3));
    }
  }
  EXPECT_TRUE(contains(refusal(text + "1"), fmt::format("line {}: expected 2", 3 * rows + 1)));
}

TEST_F(Csv, a_suggested_column_is_on_one_line) {
  EXPECT_TRUE(contains(refusal("\"colou\n\",x\n1,2\n", "colour"), "did you mean 'colou\\x0a'?"));
}

TEST_F(Csv, a_megabyte_of_blank_lines_is_no_table) {
  EXPECT_TRUE(contains(refusal(std::string(3'000'000, '\n')), "blank lines"));
  EXPECT_TRUE(contains(refusal("1,a\n" + std::string(3'000'000, ' ')), "line 2: expected a row"));
  EXPECT_EQ(read(std::string(900'000, '\n') + "1,a\n" + std::string(900'000, '\n')).labels.size(),
            1u);
}

TEST_F(Csv, zero_bytes_and_garbage_are_refused) {
  EXPECT_FALSE(refusal(std::string_view("1\0,2,a\n", 7)).empty());
  EXPECT_FALSE(refusal(std::string(100, '\0')).empty());
}

RC_GTEST_PROP(CsvProperty, printed_floats_come_back, (const std::vector<float>& numbers)) {
  RC_PRE(!numbers.empty());
  const TempFolder folder;
  std::string text;
  for (const float number : numbers) text += fmt::format("{},x\n", number);
  testing::write_bytes(folder / "t.csv", text);
  const Table table = read_csv(folder / "t.csv");
  const auto span = table.values.span<float>();
  RC_ASSERT(std::vector<float>(span.begin(), span.end()) == numbers);
}

}  // namespace
}  // namespace evenkeel::io
