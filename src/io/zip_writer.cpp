#include <limits>

#include "io/bytes.h"
#include "io/zip.h"

namespace evenkeel::io {
namespace {

constexpr std::uint64_t kMax32 = 0xFFFFFFFF;
constexpr std::uint16_t kVersion20 = 20;
constexpr std::uint16_t kVersion45 = 45;  // zip64
constexpr std::uint16_t kUtf8Name = 1u << 11;
constexpr std::uint16_t kFirstOf1980 = (1u << 5) | 1u;  // archives of equal arrays are equal files

bool needs64(std::uint64_t value) { return value >= kMax32; }

std::uint32_t field32(std::uint64_t value) {
  return static_cast<std::uint32_t>(needs64(value) ? kMax32 : value);
}

/// From "version needed" to the uncompressed size: the same in both headers.
void append_common(std::string& out, const ZipEntry& entry, bool wide) {
  append_le<std::uint16_t>(out, wide ? kVersion45 : kVersion20);
  append_le<std::uint16_t>(out, kUtf8Name);
  append_le<std::uint16_t>(out, 0);  // stored
  append_le<std::uint16_t>(out, 0);  // midnight
  append_le<std::uint16_t>(out, kFirstOf1980);
  append_le<std::uint32_t>(out, entry.crc);
  append_le<std::uint32_t>(out, field32(entry.size));
  append_le<std::uint32_t>(out, field32(entry.size));
  append_le<std::uint16_t>(out, static_cast<std::uint16_t>(entry.name.size()));
}

std::string extra64(std::uint64_t size, std::uint64_t header_begin) {
  std::string fields;
  if (needs64(size)) {
    append_le<std::uint64_t>(fields, size);
    append_le<std::uint64_t>(fields, size);
  }
  if (needs64(header_begin)) append_le<std::uint64_t>(fields, header_begin);
  if (fields.empty()) return fields;
  std::string out;
  append_le<std::uint16_t>(out, 1);
  append_le<std::uint16_t>(out, static_cast<std::uint16_t>(fields.size()));
  return out + fields;
}

}  // namespace

std::string zip_local_header(const ZipEntry& entry) {
  const std::string extra = extra64(entry.size, 0);
  std::string out("PK\x03\x04", 4);
  append_common(out, entry, !extra.empty());
  append_le<std::uint16_t>(out, static_cast<std::uint16_t>(extra.size()));
  return out + entry.name + extra;
}

std::string zip_directory_entry(const ZipEntry& entry, std::uint64_t header_begin) {
  const std::string extra = extra64(entry.size, header_begin);
  std::string out("PK\x01\x02", 4);
  append_le<std::uint16_t>(out, kVersion45);  // made by
  append_common(out, entry, !extra.empty());
  append_le<std::uint16_t>(out, static_cast<std::uint16_t>(extra.size()));
  append_le<std::uint16_t>(out, 0);  // no comment
  append_le<std::uint16_t>(out, 0);  // disk 0
  append_le<std::uint16_t>(out, 0);  // internal attributes
  append_le<std::uint32_t>(out, 0);  // external attributes
  append_le<std::uint32_t>(out, field32(header_begin));
  return out + entry.name + extra;
}

std::string zip_end(std::uint64_t entries, std::uint64_t begin, std::uint64_t size) {
  constexpr std::uint64_t kMax16 = 0xFFFF;
  std::string out;
  if (entries >= kMax16 || needs64(begin) || needs64(size)) {
    out.append("PK\x06\x06", 4);
    append_le<std::uint64_t>(out, 44);  // bytes behind this field
    append_le<std::uint16_t>(out, kVersion45);
    append_le<std::uint16_t>(out, kVersion45);
    append_le<std::uint32_t>(out, 0);
    append_le<std::uint32_t>(out, 0);
    append_le<std::uint64_t>(out, entries);
    append_le<std::uint64_t>(out, entries);
    append_le<std::uint64_t>(out, size);
    append_le<std::uint64_t>(out, begin);
    out.append("PK\x06\x07", 4);
    append_le<std::uint32_t>(out, 0);
    append_le<std::uint64_t>(out, begin + size);
    append_le<std::uint32_t>(out, 1);
  }
  const auto count = static_cast<std::uint16_t>(entries < kMax16 ? entries : kMax16);
  out.append("PK\x05\x06", 4);
  append_le<std::uint32_t>(out, 0);  // disk numbers
  append_le<std::uint16_t>(out, count);
  append_le<std::uint16_t>(out, count);
  append_le<std::uint32_t>(out, field32(size));
  append_le<std::uint32_t>(out, field32(begin));
  append_le<std::uint16_t>(out, 0);  // no comment
  return out;
}

}  // namespace evenkeel::io
