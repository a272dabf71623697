#include <cstddef>

#include "data/source_table.h"
#include <evenkeel/io/table.h>

namespace evenkeel::data {

Splits open_csv(const std::string& rest, const SourceOptions& options) {
  // The last such comma, since a file's name may hold any.
  constexpr std::string_view kLabel = ",label=";
  const std::size_t at = rest.rfind(kLabel);
  const std::string file = rest.substr(0, at);
  io::TableOptions table_options;
  if (at != std::string::npos) table_options.label = rest.substr(at + kLabel.size());
  require_rest(file, "csv", "FILE");

  io::Table table = io::read_csv(file, table_options);
  if (table.labels.empty()) {
    fail<UsageError>(
        "[csv] {}: expected a label column, got none; name it as in csv:FILE,label=NAME", file);
  }
  // Numbered over the whole table, before the split, so both parts share their classes.
  Dataset all;
  all.samples = std::move(table.values);
  all.labels = std::move(table.labels);
  all.classes = static_cast<std::int64_t>(table.class_names.size());
  all.class_names = std::move(table.class_names);
  return split_test(all, options, "csv");
}

}  // namespace evenkeel::data
