// What was measured so far, kept so that an interrupted lab goes on where it stopped.
#pragma once

#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "lab/cell.h"

namespace evenkeel::lab {

/// One file of JSON lines: first what the lab was asked, then every finished cell as soon as there
/// is one. A last line that was cut off by a kill is forgotten. From any thread.
class Journal {
 public:
  /// Opens or begins the file. `identity` is what a resumed lab must have in common with the one
  /// that began: UsageError where it differs, saying what to do. IoError for a file that cannot be
  /// read or written, or whose lines are not a journal's.
  Journal(std::filesystem::path path, const Json& identity);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// What was measured for this cell, if it was.
  std::optional<Measurement> find(const std::string& experiment, const Cell& cell) const;
  /// Appends a line, whole or not at all. IoError names the path and the cause.
  void add(const std::string& experiment, const Result& result);
  /// Cells that were there when the file was opened.
  std::size_t resumed() const { return resumed_; }

 private:
  void read(const Json& identity);
  void append(const std::string& line);

  std::filesystem::path path_;
  int file_ = -1;
  std::uintmax_t end_ = 0;  // of the last whole line
  std::size_t resumed_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, Measurement> cells_;
};

}  // namespace evenkeel::lab
