#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/event_reader.h"
#include "io/io_testing.h"
#include <evenkeel/io/events.h>

namespace evenkeel::io {
namespace {

using evenkeel::testing::Message;
using evenkeel::testing::records;
using testing::contains;
using testing::message_of;
using testing::TempFolder;

TEST(JsonLines, one_object_per_line_is_there_at_once) {
  const TempFolder folder;
  JsonLines lines(folder / "m.jsonl");
  lines.write(R"({"a": 1})");
  EXPECT_EQ(testing::read_bytes(folder / "m.jsonl"), "{\"a\": 1}\n");
  lines.write("{}");
  EXPECT_EQ(testing::read_bytes(folder / "m.jsonl"), "{\"a\": 1}\n{}\n");
}

TEST(JsonLines, an_existing_file_is_continued) {
  const TempFolder folder;
  { JsonLines(folder / "m.jsonl").write("{}"); }
  { JsonLines(folder / "m.jsonl").write(R"({"b":2})"); }
  EXPECT_EQ(testing::read_bytes(folder / "m.jsonl"), "{}\n{\"b\":2}\n");
}

TEST(JsonLines, a_line_cut_by_a_crash_does_not_swallow_the_next) {
  const TempFolder folder;
  testing::write_bytes(folder / "m.jsonl", "{}\n{\"step\":");
  JsonLines(folder / "m.jsonl").write("{}");
  EXPECT_EQ(testing::read_bytes(folder / "m.jsonl"), "{}\n{\"step\":\n{}\n");
}

TEST(JsonLines, numbers_that_are_not_finite_become_null_but_texts_stay) {
  const TempFolder folder;
  JsonLines(folder / "m.jsonl")
      .write(
          R"({"nan": nan, "b": [-inf, Infinity, -NaN, 1e5], "inf": "a \" nan, inf", "t": true})");
  EXPECT_EQ(testing::read_bytes(folder / "m.jsonl"),
            R"({"nan": null, "b": [null, null, null, 1e5], "inf": "a \" nan, inf", "t": true})"
            "\n");
}

TEST(JsonLines, what_is_not_one_object_on_one_line_is_refused) {
  const TempFolder folder;
  JsonLines lines(folder / "m.jsonl");
  for (const char* text : {"", "1", "[]", "{", "{}{}", "{\"a\":\n1}", "{\"a\":nil}", "{'a':1}"}) {
    EXPECT_FALSE(message_of<UsageError>([&] { lines.write(text); }).empty()) << text;
  }
  EXPECT_EQ(testing::read_bytes(folder / "m.jsonl"), "");
}

TEST(JsonLines, a_file_that_cannot_be_opened_is_named) {
  const TempFolder folder;
  EXPECT_TRUE(contains(message_of([&] { JsonLines lines(folder / "no/m.jsonl"); }),
                       "[write] cannot write '" + (folder / "no/m.jsonl").string() + "'"));
}

TEST(JsonLines, a_full_disk_is_reported) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full here";
  JsonLines lines("/dev/full");
  EXPECT_TRUE(contains(message_of([&] { lines.write("{}"); }), "No space left on device"));
}

std::filesystem::path only_file(const TempFolder& folder) {
  EXPECT_EQ(folder.count(), 1u);
  return std::filesystem::directory_iterator(folder.path())->path();
}

std::vector<std::string> written(const TempFolder& folder) {
  return records(testing::read_bytes(only_file(folder)));
}

TEST(EventWriter, the_file_begins_with_its_version) {
  const TempFolder folder;
  { EventWriter writer(folder.path()); }
  const auto found = written(folder);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(Message(found[0]).one(3), "brain.Event:2");
  EXPECT_GT(Message(found[0]).number<double>(1), 1e9);
  EXPECT_TRUE(contains(only_file(folder).filename().string(), "events.out.tfevents."));
  EXPECT_TRUE(only_file(folder).filename().string().ends_with(".evenkeel"));
}

TEST(EventWriter, scalars_carry_tag_value_and_step) {
  const TempFolder folder;
  {
    EventWriter writer(folder.path());
    writer.scalar("train/loss", 0.25, 7);
    writer.scalar("nan", std::nan(""), std::int64_t{1} << 40);
    writer.scalar("huge", 1e300, 0);
  }
  const auto found = written(folder);
  ASSERT_EQ(found.size(), 4u);
  const Message event(found[1]);
  EXPECT_EQ(event.one(2), "7");
  const Message value(Message(event.one(5)).one(1));
  EXPECT_EQ(value.one(1), "train/loss");
  EXPECT_EQ(value.number<float>(2), 0.25f);
  EXPECT_EQ(Message(found[2]).one(2), std::to_string(std::int64_t{1} << 40));
  EXPECT_TRUE(std::isnan(Message(Message(Message(found[2]).one(5)).one(1)).number<float>(2)));
  EXPECT_TRUE(std::isinf(Message(Message(Message(found[3]).one(5)).one(1)).number<float>(2)));
}

Message histogram_of(const std::vector<double>& values) {
  const TempFolder folder;
  { EventWriter(folder.path()).histogram("h", values, 3); }
  const Message value(Message(Message(written(folder).at(1)).one(5)).one(1));
  EXPECT_EQ(value.one(1), "h");
  return Message(value.one(5));
}

TEST(EventWriter, histograms_count_every_value_once) {
  std::vector<double> values;
  for (int i = -50; i <= 50; ++i) values.push_back(i * 0.1);
  const Message h = histogram_of(values);
  EXPECT_EQ(h.number<double>(1), -5.0);
  EXPECT_EQ(h.number<double>(2), 5.0);
  EXPECT_EQ(h.number<double>(3), 101.0);
  EXPECT_NEAR(h.number<double>(4), 0.0, 1e-12);
  EXPECT_NEAR(h.number<double>(5), 858.5, 1e-9);
  const auto limits = h.doubles(6);
  const auto counts = h.doubles(7);
  ASSERT_EQ(limits.size(), counts.size());
  EXPECT_EQ(limits.back(), 5.0);
  double low = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < limits.size(); ++i) {
    EXPECT_GT(limits[i], low);
    const bool last = i + 1 == limits.size();
    const auto inside = std::ranges::count_if(
        values, [&](double v) { return v >= low && (v < limits[i] || (last && v <= limits[i])); });
    EXPECT_EQ(counts[i], static_cast<double>(inside));
    low = limits[i];
  }
}

TEST(EventWriter, histograms_of_extreme_values_stay_well_formed) {
  const double huge = std::numeric_limits<double>::max();
  for (const auto& [values, count] :
       std::vector<std::pair<std::vector<double>, double>>{{{}, 0},
                                                           {{3, 3, 3}, 3},
                                                           {{1, std::nan(""), INFINITY}, 1},
                                                           {{-huge, 0, huge}, 3},
                                                           {{0, 5e-324}, 2}}) {
    const Message h = histogram_of(values);
    EXPECT_EQ(h.number<double>(3), count);
    double sum = 0;
    for (const double c : h.doubles(7)) sum += c;
    EXPECT_EQ(sum, count);
    EXPECT_TRUE(std::ranges::is_sorted(h.doubles(6)));
    for (const double limit : h.doubles(6)) EXPECT_TRUE(std::isfinite(limit));
  }
}

TEST(EventWriter, flush_makes_everything_visible) {
  const TempFolder folder;
  EventWriter writer(folder.path());
  writer.scalar("a", 1, 1);
  writer.flush();
  EXPECT_EQ(written(folder).size(), 2u);
}

TEST(EventWriter, many_records_are_written_without_a_flush) {
  const TempFolder folder;
  EventWriter writer(folder.path());
  for (int i = 0; i < 2000; ++i) writer.scalar("a tag of some length", i, i);
  EXPECT_GT(std::filesystem::file_size(only_file(folder)), 60'000u);
}

TEST(EventWriter, two_writers_in_one_folder_have_a_file_each) {
  const TempFolder folder;
  EventWriter first(folder / "new folder");
  EventWriter second(folder / "new folder");
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "new folder")) {
    EXPECT_TRUE(contains(entry.path().string(), "tfevents"));
    ++count;
  }
  EXPECT_EQ(count, 2u);
}

TEST(EventWriter, a_folder_that_cannot_be_made_is_named) {
  const TempFolder folder;
  testing::write_bytes(folder / "f", "x");
  EXPECT_TRUE(
      contains(message_of([&] { EventWriter writer(folder / "f"); }), "[write] cannot write"));
}

}  // namespace
}  // namespace evenkeel::io
