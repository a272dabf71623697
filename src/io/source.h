// Bytes in order, from a file, a part of one, or an inflated stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "io/origin.h"

namespace evenkeel::io {

/// A regular file open for reading; any other kind is refused.
class InputFile {
 public:
  InputFile(const std::filesystem::path& path, Origin origin);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }
  const Origin& origin() const { return origin_; }
  /// Fills `out`, which must lie inside the file.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  Origin origin_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

class Source {
 public:
  virtual ~Source() = default;
  /// The next bytes; fewer than asked for only at the end.
  virtual std::size_t read(std::span<std::byte> out) = 0;
  /// No more than this many bytes are left. Exact for files, and known without reading them, so
  /// that what a header claims can be refused before memory is taken for it.
  virtual std::uint64_t at_most() const = 0;
};

/// Fills `out` or refuses; `what` says what is being read.
void read_exactly(Source& source, std::span<std::byte> out, std::string_view what,
                  const Origin& origin);

/// Bytes [offset, offset + length) of a file, which must outlive it.
class FileSource : public Source {
 public:
  explicit FileSource(const InputFile& file) : FileSource(file, 0, file.size()) {}
  FileSource(const InputFile& file, std::uint64_t offset, std::uint64_t length)
      : file_(file), offset_(offset), left_(length) {}
  std::size_t read(std::span<std::byte> out) override;
  std::uint64_t at_most() const override { return left_; }

 private:
  const InputFile& file_;
  std::uint64_t offset_;
  std::uint64_t left_;
};

/// Inflates another source, which must outlive it. Checks gzip's checksums and refuses bytes after
/// the end; several gzip members in a row are one stream.
class InflateSource : public Source {
 public:
  enum class Format { gzip, raw };
  InflateSource(Source& compressed, Format format, Origin origin);
  ~InflateSource() override;
  std::size_t read(std::span<std::byte> out) override;
  std::uint64_t at_most() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether the file begins with gzip's magic.
bool is_gzip(const InputFile& file);

}  // namespace evenkeel::io
