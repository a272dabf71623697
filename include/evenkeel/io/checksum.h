// Checksums of stored bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace evenkeel::io {

/// CRC-32C (Castagnoli; polynomial 0x1EDC6F41, reflected), as in iSCSI, ext4 and TFRecord files.
/// `seed` is the checksum of the bytes before: crc32c(b, crc32c(a)) is the checksum of a followed
/// by b.
std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed = 0);

}  // namespace evenkeel::io
