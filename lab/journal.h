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
/// is one. A last line that was cut off by a kill is forgotten, others that do not read are left
/// out. One journal at a time writes a file, also among processes. From any thread.
class Journal {
 public:
  /// Opens or begins the file. `identity` is what a resumed lab must have in common with the one
  /// that began: UsageError where it differs, saying what to do; a file without any cell takes the
  /// new one. IoError for a file that cannot be read or written, that another lab works with, or
  /// that does not begin as a journal.
  Journal(std::filesystem::path path, const Json& identity);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// What was measured for this cell, if it was.
  std::optional<Measurement> find(const std::string& experiment, const Cell& cell) const;
  /// Appends a line, whole or not at all. IoError names the path and the cause.
  void add(const std::string& experiment, const Result& result);
  /// Cells that were there when the file was opened.
  std::size_t resumed() const { return resumed_; }
  /// Lines that were there and do not read.
  std::size_t damaged() const { return damaged_; }
  /// Cells that were added.
  std::size_t added() const;

 private:
  /// An open file, and with it the lock: the kernel gives it back however the process ends.
  struct Descriptor {
    Descriptor() = default;
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int value = -1;
  };

  void open();
  void read(const Json& identity);
  bool is_begun_by(const Json& identity, std::string_view first, bool has_more) const;
  void append(const std::string& line);

  std::filesystem::path path_;
  Descriptor file_;
  std::uintmax_t end_ = 0;  // of the last whole line
  std::size_t resumed_ = 0, damaged_ = 0, added_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, Measurement> cells_;
};

}  // namespace evenkeel::lab
