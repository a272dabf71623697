// Splitting a table into records and fields.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "io/source.h"

namespace evenkeel::io {

/// Records of separated fields, which may be quoted and then hold separators, line breaks and
/// doubled quotes. Blank lines are passed over. Holds no more of the text than the longest record
/// that is possible, so that a small file which inflates to a large one costs what its records do.
class CsvReader {
 public:
  /// Chooses the separator that is most frequent in the first line.
  CsvReader(Source& text, const Origin& origin);

  /// Reads the next record; false at the end.
  bool next();
  /// Its fields without surrounding blanks.
  const std::vector<std::string>& fields() const { return fields_; }
  /// The line on which it begins, from 1.
  std::size_t line() const { return line_; }

 private:
  void fetch();
  bool skip_blank_lines();
  std::size_t record_end() const;
  void split(std::string_view record);
  std::string take_quoted(std::string_view& record) const;

  Source& text_;
  const Origin& origin_;
  std::string buffer_;
  std::string_view rest_;  // of the buffer
  bool ended_ = false;     // nothing follows behind the buffer
  char separator_ = ',';
  std::vector<std::string> fields_;
  std::size_t line_ = 0;
  std::size_t next_line_ = 1;
};

/// The text without blanks at both ends.
std::string_view trim(std::string_view text);

}  // namespace evenkeel::io
