#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "io/csv_reader.h"
#include "io/number.h"
#include "io/origin.h"
#include "io/source.h"
#include <evenkeel/core/options.h>
#include <evenkeel/io/table.h>

namespace evenkeel::io {
namespace {

using Fields = std::vector<std::string>;

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<std::int64_t> as_integer(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

bool is_text(const std::string& field) {
  return !field.empty() && parse_number(field).kind == TextNumber::Kind::text;
}

/// Which column holds the label, and whether the first line names the columns.
struct Columns {
  std::optional<std::size_t> label;
  bool header = false;
};

/// A header if fields beside the label's are texts, and none is a number: a damaged number in a
/// first line of data must not turn the line into a header.
bool looks_like_header(const Fields& first, std::optional<std::size_t> label) {
  bool text = false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (i == label) continue;
    if (!first[i].empty() && !is_text(first[i])) return false;
    text = text || is_text(first[i]);
  }
  return text;
}

std::size_t numbered_column(std::int64_t number, const Fields& first, const Origin& origin) {
  const auto count = static_cast<std::int64_t>(first.size());
  const std::int64_t index = number < 0 ? number + count : number;
  if (index < 0 || index >= count) {
    origin.refuse("expected a label column from {} to {}, got {}", -count, count - 1, number);
  }
  return static_cast<std::size_t>(index);
}

Columns find_columns(const Fields& first, const std::string& wanted, const Origin& origin) {
  if (wanted == "none") return {std::nullopt, looks_like_header(first, std::nullopt)};
  const auto named = [&](std::string_view name) -> std::optional<std::size_t> {
    const auto found =
        std::ranges::find_if(first, [&](const auto& field) { return same_word(field, name); });
    if (found == first.end()) return std::nullopt;
    return static_cast<std::size_t>(found - first.begin());
  };
  if (wanted.empty()) {
    for (const std::string_view name : {"label", "class"}) {
      const auto column = named(name);
      if (column && looks_like_header(first, column)) return {column, true};
    }
    return {first.size() - 1, looks_like_header(first, first.size() - 1)};
  }
  const auto column = named(wanted);
  if (column && looks_like_header(first, column)) return {column, true};
  if (const auto number = as_integer(wanted)) {
    const std::size_t index = numbered_column(*number, first, origin);
    return {index, looks_like_header(first, index)};
  }
  const auto similar = nearest(wanted, first);
  origin.refuse(
      "expected a column {} in the header line, got none{}; name a column or give its "
      "number",
      quote(wanted), similar ? fmt::format("; did you mean {}?", quote(*similar)) : std::string());
}

float read_value(const std::string& field, std::size_t line, std::size_t column,
                 const Origin& origin) {
  const TextNumber number = parse_number(field);
  switch (number.kind) {
    case TextNumber::Kind::number:
      return number.value;
    case TextNumber::Kind::not_finite:
      origin.refuse("line {}, column {}: expected a finite number, got {}", line, column,
                    quote(field, 40));
    case TextNumber::Kind::too_large:
      origin.refuse("line {}, column {}: expected a number of at most 3.4e38, got {}", line, column,
                    quote(field, 40));
    case TextNumber::Kind::text:
      break;
  }
  origin.refuse("line {}, column {}: expected a number, got {}", line, column, quote(field, 40));
}

/// Class names in the order of their first appearance, until sort() renumbers the labels.
class Classes {
 public:
  std::int32_t number_of(const std::string& name) {
    const auto next = static_cast<std::int32_t>(names_.size());
    const auto [position, added] = numbers_.emplace(name, next);
    if (added) names_.push_back(name);
    return position->second;
  }

  std::vector<std::string> sort(std::vector<std::int32_t>& labels) const {
    std::vector<std::size_t> order(names_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::vector<double> values;
    for (const std::string& name : names_) {
      if (const auto value = parse_double(name)) values.push_back(*value);
    }
    const bool numeric = values.size() == names_.size();
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      if (numeric && values[a] != values[b]) return values[a] < values[b];
      return names_[a] < names_[b];
    });
    std::vector<std::int32_t> rank(order.size());
    std::vector<std::string> sorted;
    for (std::size_t i = 0; i < order.size(); ++i) {
      rank[order[i]] = static_cast<std::int32_t>(i);
      sorted.push_back(names_[order[i]]);
    }
    for (std::int32_t& label : labels) label = rank[static_cast<std::size_t>(label)];
    return sorted;
  }

 private:
  std::unordered_map<std::string, std::int32_t> numbers_;
  std::vector<std::string> names_;
};

Table read_table(Source& text, const TableOptions& options, const Origin& origin) {
  CsvReader reader(text, origin);
  if (!reader.next()) origin.refuse("expected rows of numbers, got an empty file");
  const std::size_t width = reader.fields().size();
  const Columns columns = find_columns(reader.fields(), options.label, origin);
  const std::size_t features = width - (columns.label ? 1 : 0);
  if (features == 0) {
    origin.refuse(
        "expected a feature column beside the label's, got one column; separate columns "
        "by commas, semicolons or tabs");
  }
  Table table;
  if (columns.header) {
    table.feature_names = reader.fields();
    if (columns.label) {
      table.feature_names.erase(table.feature_names.begin() +
                                static_cast<std::ptrdiff_t>(*columns.label));
    }
  }
  std::vector<float> values;
  Classes classes;
  for (bool more = !columns.header || reader.next(); more; more = reader.next()) {
    const Fields& fields = reader.fields();
    if (fields.size() != width) {
      origin.refuse("line {}: expected {} columns, got {}", reader.line(), width, fields.size());
    }
    for (std::size_t i = 0; i < width; ++i) {
      if (i != columns.label) {
        values.push_back(read_value(fields[i], reader.line(), i + 1, origin));
      } else if (fields[i].empty()) {
        origin.refuse("line {}, column {}: expected a label, got an empty field", reader.line(),
                      i + 1);
      } else {
        table.labels.push_back(classes.number_of(fields[i]));
      }
    }
  }
  if (values.empty()) origin.refuse("expected rows of numbers, got a header line only");
  table.class_names = classes.sort(table.labels);
  const Shape shape{static_cast<std::int64_t>(values.size() / features),
                    static_cast<std::int64_t>(features)};
  table.values = allocate_tensor(shape, DType::f32, origin);
  std::ranges::copy(values, table.values.span<float>().begin());
  return table;
}

}  // namespace

Table read_csv(const std::filesystem::path& path, const TableOptions& options) {
  const InputFile file(path, Origin("csv", path));
  const Origin& origin = file.origin();
  FileSource plain(file);
  try {
    if (!is_gzip(file)) return read_table(plain, options, origin);
    InflateSource inflated(plain, InflateSource::Format::gzip, origin);
    return read_table(inflated, options, origin);
  } catch (const std::bad_alloc&) {
    origin.refuse("not enough memory for its {} bytes", file.size());
  }
}

}  // namespace evenkeel::io
