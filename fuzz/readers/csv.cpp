#include <algorithm>
#include <cmath>
#include <set>

#include "readers.h"
#include "support.h"
#include <evenkeel/io/table.h>

namespace evenkeel::fuzz {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

void check_table(const io::Table& table, std::size_t size) {
  check_tensor(table.values, 1032 * 4 * (size + 1));
  promise(table.values.rank() == 2 && table.values.numel() > 0, "a table of shape {}",
          table.values.shape().str());
  for (const float value : table.values.span<float>()) {
    promise(std::isfinite(value), "the value {}", value);
  }
  const auto rows = static_cast<std::size_t>(table.values.dim(0));
  promise(table.labels.empty() || table.labels.size() == rows, "{} labels for {} rows",
          table.labels.size(), rows);
  const auto classes = static_cast<std::int32_t>(table.class_names.size());
  for (const std::int32_t label : table.labels) {
    promise(label >= 0 && label < classes, "the label {} of {}", label, classes);
  }
  const std::set<std::string> names(table.class_names.begin(), table.class_names.end());
  promise(names.size() == table.class_names.size(), "a class name comes twice");
  promise(table.feature_names.empty() ||
              table.feature_names.size() == static_cast<std::size_t>(table.values.dim(1)),
          "{} names for {} features", table.feature_names.size(), table.values.dim(1));
}

/// The table as text again: no header, the label last and quoted.
std::string text_of(const io::Table& table) {
  const auto width = static_cast<std::size_t>(table.values.dim(1));
  const auto values = table.values.span<float>();
  std::string text;
  for (std::size_t row = 0; row < table.labels.size(); ++row) {
    for (const float value : values.subspan(row * width, width)) text += fmt::format("{},", value);
    text += quoted(table.class_names[static_cast<std::size_t>(table.labels[row])]) + '\n';
  }
  return text;
}

void check_written(const io::Table& table) {
  const std::filesystem::path copy = work_folder() / "copy.csv";
  write_bytes(copy, text_of(table));
  const io::Table again = io::read_csv(copy);
  promise(same(again.values, table.values), "the values differ once written");
  promise(again.labels == table.labels && again.class_names == table.class_names,
          "the labels differ once written");
}

void read(std::string_view bytes) {
  const std::filesystem::path& path = file_of(bytes);
  for (const char* label : {"", "none", "0", "y"}) {
    io::Table table;
    if (!accepts([&] { table = io::read_csv(path, {.label = label}); })) continue;
    check_table(table, bytes.size());
    const bool labelled = std::string_view(label) != "none";
    promise(table.labels.empty() != labelled, "{} labels with the column '{}'", table.labels.size(),
            label);
    if (*label == '\0') check_written(table);
  }
}

std::vector<Seed> seeds() {
  return {
      {"commas", "x,y,label\n1,2,a\n-3.5e1,.5,b\n"},
      {"semicolons", "1;2;a\n3;4;b\n"},
      {"tabs", "1\t2\ta\r\n3\t4\tb\r\n"},
      {"quotes", "\"x\",\"y\"\n\"1\",\"a \"\"b\"\",\nc\"\n 2 , \"d\" \n"},
      {"byte_order_mark", "\xEF\xBB\xBFy,x\n1,2\n"},
      {"gzip", deflated("x,y,label\n1,2,a\n3,4,b\n", true)},
      {"header_alone", "x,y,label\n"},
      {"open_quote", "x,\"y\n1,2\n"},
      {"ragged", "1,2\n1,2,3\n"},
      {"numbers", "1e-400,+0,-0,1\n0x10,1,2,3\n"},
      {"too_large", "1e39,a\n"},
      {"words", "inf,a\nnan,b\n"},
      {"long_number", "1" + std::string(400, '0') + ",a\n"},
      {"wide", std::string(300, ',') + "1\n"},
      {"blank_lines", "\n\n \r\n1,2\n\n\n3,4\n"},
      {"zero_bytes", std::string("1,2\0,3\n", 7)},
      {"numeric_classes", "1,10\n2,9\n3,1e1\n"},
  };
}

std::optional<std::string> unpack(std::string_view bytes) { return inflated(bytes, true, 1 << 16); }

std::string pack(std::string_view inside) { return deflated(inside, true); }

}  // namespace

Target csv_target() {
  return {.reader = "csv", .read = read, .seeds = seeds, .unpack = unpack, .pack = pack};
}

}  // namespace evenkeel::fuzz
