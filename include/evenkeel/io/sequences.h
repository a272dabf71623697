// Sequences of different lengths in text files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace evenkeel::io {

/// Sequences one after the other.
struct Sequences {
  std::int64_t features = 0;          ///< values per step
  std::vector<float> values;          ///< step after step, `features` each
  std::vector<std::int64_t> lengths;  ///< steps of each sequence, at least one
  std::vector<std::string> labels;    ///< of each sequence; empty where the file holds none
};

// Both read numbers independently of the locale, separated by blanks, tabs or commas, CRLF and
// plain gzip files too. IoError names file and line of the first fault: a line with another count
// of values than the first, a value that is no finite number, a file without sequences.

/// A line `class NAME` begins a sequence, each line after it is one step. Empty lines and what
/// follows a # are passed over.
Sequences read_sequences(const std::filesystem::path& path);

/// The form of the UCI data set Japanese Vowels: a sequence ends with an empty line or with a line
/// of ones alone; labels are not in the file.
Sequences read_vowels(const std::filesystem::path& path);

/// With or without labels: as read_sequences where the file begins with a class line, else one step
/// per line and an empty line behind each sequence.
Sequences read_any_sequences(const std::filesystem::path& path);

}  // namespace evenkeel::io
