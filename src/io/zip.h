// The zip container of .npz archives and of PyTorch's files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/source.h"

namespace evenkeel::io {

struct ZipEntry {
  enum class Method { stored, deflated };
  std::string name;
  Method method = Method::stored;
  std::uint32_t crc = 0;
  std::uint64_t compressed_size = 0;
  std::uint64_t size = 0;
  std::uint64_t data_begin = 0;  ///< of its compressed bytes in the file
};

/// The members of an archive, zip64 or not. Every one has been proved to lie inside the file, to
/// overlap no other (which is how zip bombs reuse their bytes), to have a name of its own, and to
/// claim no size that its compressed bytes cannot reach.
std::vector<ZipEntry> read_zip_directory(const InputFile& file);

/// One member's bytes. The CRC-32 and the size are checked when the end is read; bytes beyond the
/// claimed size are refused.
class ZipSource : public Source {
 public:
  ZipSource(const InputFile& file, const ZipEntry& entry, Origin origin);
  std::size_t read(std::span<std::byte> out) override;
  std::uint64_t at_most() const override { return left_; }

 private:
  void check_end();

  const ZipEntry& entry_;
  Origin origin_;
  FileSource stored_;
  std::unique_ptr<InflateSource> inflated_;
  std::uint64_t left_;
  std::uint32_t crc_ = 0;
  bool checked_ = false;
};

/// What goes before the data of a stored member, and into the directory for it.
std::string zip_local_header(const ZipEntry& entry);
std::string zip_directory_entry(const ZipEntry& entry, std::uint64_t header_begin);
/// The end of an archive whose directory lies at [begin, begin + size).
std::string zip_end(std::uint64_t entries, std::uint64_t begin, std::uint64_t size);

std::uint32_t zip_crc(std::span<const std::byte> data, std::uint32_t before = 0);

}  // namespace evenkeel::io
