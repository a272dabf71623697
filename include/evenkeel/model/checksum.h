// A checksum over a file of tensors, which tells damage that still parses.
#pragma once

#include <filesystem>

#include <evenkeel/io/safetensors.h>

namespace evenkeel::model {

/// Where the metadata holds it.
inline constexpr const char* kChecksumKey = "evenkeel.crc32c";

/// Puts a CRC-32C over the metadata and over the names, types, shapes and bytes of all tensors into
/// the metadata.
void add_checksum(io::TensorFile& file);
/// Throws IoError naming `path` unless the content matches the checksum; also where there is none.
void verify_checksum(const io::TensorFile& file, const std::filesystem::path& path);

}  // namespace evenkeel::model
