// Comma-separated tables with a label column.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

struct Table {
  Tensor values;                         ///< f32 [rows, features]
  std::vector<std::int32_t> labels;      ///< class number of each row; empty without a label column
  std::vector<std::string> class_names;  ///< sorted (numerically where all are numbers)
  std::vector<std::string> feature_names;  ///< from the header line; empty without one
};

struct TableOptions {
  /// Name or number (from 0; negative from the end) of the label column; "" means a column called
  /// "label" or "class", else the last. "none" means there is none.
  std::string label;
};

/// Reads commas, semicolons or tabs; quoted fields; CRLF; a header line where the first line's
/// feature fields are not numbers. Numbers are read independently of the locale. IoError names
/// file, line and column of the first fault.
Table read_csv(const std::filesystem::path& path, const TableOptions& options = {});

}  // namespace evenkeel::io
