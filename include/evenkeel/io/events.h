// Logs of a run: JSON lines for programs, TensorBoard event files for people.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::io {

/// Appends one JSON object per line; each line is flushed. Numbers that are not finite become null.
class JsonLines {
 public:
  /// Appends to the file; IoError if it cannot be opened.
  explicit JsonLines(const std::filesystem::path& path);
  ~JsonLines();
  /// `json` is one object in text form, without a line break.
  void write(const std::string& json);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A TensorBoard event file (TFRecord framing with masked CRC-32C, hand-encoded protobuf) of
/// scalars and histograms.
class EventWriter {
 public:
  /// Creates `folder/events.out.tfevents.<time>.evenkeel`.
  explicit EventWriter(const std::filesystem::path& folder);
  ~EventWriter();
  void scalar(const std::string& tag, double value, std::int64_t step);
  void histogram(const std::string& tag, const std::vector<double>& values, std::int64_t step);
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace evenkeel::io
