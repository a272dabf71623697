#include "io/zip.h"

#include <algorithm>
#include <array>
#include <set>

#include <zlib.h>

#include "io/bytes.h"

namespace evenkeel::io {
namespace {

constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::uint32_t kEntryMagic = 0x02014b50;
constexpr std::uint32_t kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50;
constexpr std::uint32_t kLocator64Magic = 0x07064b50;
constexpr std::uint64_t kLocalSize = 30;
constexpr std::uint64_t kEntrySize = 46;
constexpr std::uint64_t kEndSize = 22;
constexpr std::uint64_t kEnd64Size = 56;
constexpr std::uint64_t kLocator64Size = 20;
constexpr std::uint16_t kIn64 = 0xFFFF;
constexpr std::uint32_t kIn64Long = 0xFFFFFFFF;
constexpr std::uint64_t kMaxTotal = std::uint64_t{8} << 30;

std::vector<std::byte> read_bytes(const InputFile& file, std::uint64_t offset, std::uint64_t size) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read_at(offset, bytes);
  return bytes;
}

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
};

void read_end64(const InputFile& file, std::uint64_t end, Directory& directory) {
  const Origin& origin = file.origin();
  if (end < kLocator64Size + kEnd64Size) origin.refuse("the zip64 end of the archive is missing");
  const auto locator = read_bytes(file, end - kLocator64Size, kLocator64Size);
  const auto at = load_le<std::uint64_t>(locator.data() + 8);
  if (load_le<std::uint32_t>(locator.data()) != kLocator64Magic ||
      at > end - kLocator64Size - kEnd64Size) {
    origin.refuse("the zip64 end of the archive is missing or lies outside of the file");
  }
  const auto record = read_bytes(file, at, kEnd64Size);
  if (load_le<std::uint32_t>(record.data()) != kEnd64Magic) {
    origin.refuse("the zip64 end of the archive is damaged");
  }
  directory.entries = load_le<std::uint64_t>(record.data() + 32);
  directory.size = load_le<std::uint64_t>(record.data() + 40);
  directory.begin = load_le<std::uint64_t>(record.data() + 48);
}

Directory find_directory(const InputFile& file) {
  const Origin& origin = file.origin();
  if (file.size() < kEndSize) {
    origin.refuse("expected a zip archive, got {} bytes", file.size());
  }
  const std::uint64_t tail_size = std::min<std::uint64_t>(file.size(), kEndSize + 0xFFFF);
  const auto tail = read_bytes(file, file.size() - tail_size, tail_size);
  for (std::size_t i = tail.size() - kEndSize + 1; i-- > 0;) {
    const std::byte* end = tail.data() + i;
    const std::size_t behind = tail.size() - i - kEndSize;
    if (load_le<std::uint32_t>(end) != kEndMagic || load_le<std::uint16_t>(end + 20) != behind) {
      continue;
    }
    Directory directory{load_le<std::uint16_t>(end + 10), load_le<std::uint32_t>(end + 16),
                        load_le<std::uint32_t>(end + 12)};
    const std::uint64_t end_begin = file.size() - tail_size + i;
    if (directory.entries == kIn64 || directory.begin == kIn64Long || directory.size == kIn64Long) {
      read_end64(file, end_begin, directory);
    }
    if (directory.begin > end_begin || directory.size > end_begin - directory.begin ||
        directory.entries > directory.size / kEntrySize) {
      origin.refuse("expected a directory inside of {} bytes, got {} entries in [{}, {} + {}]",
                    end_begin, directory.entries, directory.begin, directory.begin, directory.size);
    }
    return directory;
  }
  origin.refuse("expected a zip archive, got no end of one; the file is cut short or of another kind");
}

/// The 64-bit fields of a zip64 extra block, in the order in which the entry lacks them.
class Extra64 {
 public:
  explicit Extra64(std::span<const std::byte> extra) {
    while (extra.size() >= 4) {
      const auto id = load_le<std::uint16_t>(extra.data());
      const std::size_t size = load_le<std::uint16_t>(extra.data() + 2);
      if (size > extra.size() - 4) return;
      if (id == 1) {
        fields_ = extra.subspan(4, size);
        return;
      }
      extra = extra.subspan(4 + size);
    }
  }
  std::uint64_t value(std::uint32_t plain, const Origin& origin) {
    if (plain != kIn64Long) return plain;
    if (fields_.size() < 8) origin.refuse("expected a zip64 size in the directory, got none");
    const auto value = load_le<std::uint64_t>(fields_.data());
    fields_ = fields_.subspan(8);
    return value;
  }

 private:
  std::span<const std::byte> fields_;
};

/// Sets data_begin from the header in front of the data, which must name the same member.
void locate(const InputFile& file, const Origin& origin, std::uint64_t header_begin,
            std::uint64_t limit, ZipEntry& entry) {
  if (header_begin > limit || limit - header_begin < kLocalSize) {
    origin.refuse("expected its data before the directory at {}, got {}", limit, header_begin);
  }
  const auto local = read_bytes(file, header_begin, kLocalSize);
  const std::uint64_t name_size = load_le<std::uint16_t>(local.data() + 26);
  const std::uint64_t extra_size = load_le<std::uint16_t>(local.data() + 28);
  const std::uint64_t room = limit - header_begin - kLocalSize;
  if (load_le<std::uint32_t>(local.data()) != kLocalMagic || name_size + extra_size > room ||
      entry.compressed_size > room - name_size - extra_size) {
    origin.refuse(
        "expected {} bytes of data at offset {}, before the directory at {}; the archive "
        "is damaged",
        entry.compressed_size, header_begin, limit);
  }
  const auto name = read_bytes(file, header_begin + kLocalSize, name_size);
  if (!std::ranges::equal(name, as_bytes(entry.name))) {
    origin.refuse("expected the same name in front of its data, got another");
  }
  entry.data_begin = header_begin + kLocalSize + name_size + extra_size;
}

void check_claims(const ZipEntry& entry, std::uint16_t flags, const Origin& origin) {
  if ((flags & 1u) != 0) origin.refuse("expected plain data, got an encrypted member");
  const bool stored = entry.method == ZipEntry::Method::stored;
  // Deflate's densest code is 258 bytes from two bits.
  const std::uint64_t most = stored ? entry.compressed_size : entry.compressed_size * 1032 + 1032;
  if (entry.size > most || (stored && entry.size != entry.compressed_size)) {
    origin.refuse("expected {} {} bytes from {} stored ones, got a claim of {}",
                  stored ? "exactly" : "at most", most, entry.compressed_size, entry.size);
  }
}

ZipEntry::Method method_of(std::uint16_t number, const Origin& origin) {
  if (number != 0 && number != 8) {
    origin.refuse("expected a stored or deflated member, got compression method {}", number);
  }
  return number == 0 ? ZipEntry::Method::stored : ZipEntry::Method::deflated;
}

/// Takes one entry from the front of `rest`. `header_begin` becomes the offset of its local header.
ZipEntry take_entry(const InputFile& file, std::uint64_t limit, std::span<const std::byte>& rest,
                    std::uint64_t& header_begin) {
  if (rest.size() < kEntrySize || load_le<std::uint32_t>(rest.data()) != kEntryMagic) {
    file.origin().refuse("the directory of the archive is damaged or cut short");
  }
  const std::byte* head = rest.data();
  const std::size_t name_size = load_le<std::uint16_t>(head + 28);
  const std::size_t extra_size = load_le<std::uint16_t>(head + 30);
  const std::size_t comment_size = load_le<std::uint16_t>(head + 32);
  if (name_size + extra_size + comment_size > rest.size() - kEntrySize) {
    file.origin().refuse("the directory of the archive is damaged or cut short");
  }
  ZipEntry entry;
  entry.name.assign(reinterpret_cast<const char*>(head + kEntrySize), name_size);
  const Origin origin = file.origin().part("member", entry.name);
  entry.method = method_of(load_le<std::uint16_t>(head + 10), origin);
  entry.crc = load_le<std::uint32_t>(head + 16);
  Extra64 extra(rest.subspan(kEntrySize + name_size, extra_size));
  entry.size = extra.value(load_le<std::uint32_t>(head + 24), origin);
  entry.compressed_size = extra.value(load_le<std::uint32_t>(head + 20), origin);
  header_begin = extra.value(load_le<std::uint32_t>(head + 42), origin);
  locate(file, origin, header_begin, limit, entry);  // proves that compressed_size fits the file
  check_claims(entry, load_le<std::uint16_t>(head + 8), origin);
  rest = rest.subspan(kEntrySize + name_size + extra_size + comment_size);
  return entry;
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(const InputFile& file) {
  const Directory directory = find_directory(file);
  const auto bytes = read_bytes(file, directory.begin, directory.size);
  std::span<const std::byte> rest(bytes);
  std::vector<ZipEntry> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  std::set<std::string> names;
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    std::uint64_t begin = 0;
    entries.push_back(take_entry(file, directory.begin, rest, begin));
    const ZipEntry& entry = entries.back();
    const Origin origin = file.origin().part("member", entry.name);
    if (!names.insert(entry.name).second) origin.refuse("the name comes twice");
    if (entry.size > kMaxTotal - total) {
      origin.refuse("expected at most {} bytes in all, got more", kMaxTotal);
    }
    total += entry.size;
    ranges.emplace_back(begin, entry.data_begin + entry.compressed_size);
  }
  if (!rest.empty()) {
    file.origin().refuse("expected {} members in the directory, got more", directory.entries);
  }
  std::ranges::sort(ranges);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) {
      file.origin().refuse("members overlap at offset {}; the archive is damaged or a trap",
                           ranges[i].first);
    }
  }
  return entries;
}

ZipSource::ZipSource(const InputFile& file, const ZipEntry& entry, Origin origin)
    : entry_(entry),
      origin_(std::move(origin)),
      stored_(file, entry.data_begin, entry.compressed_size),
      left_(entry.size) {
  if (entry.method == ZipEntry::Method::deflated) {
    inflated_ = std::make_unique<InflateSource>(stored_, InflateSource::Format::raw, origin_);
  }
}

std::size_t ZipSource::read(std::span<std::byte> out) {
  const auto wanted =
      out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_)));
  Source& source = inflated_ ? static_cast<Source&>(*inflated_) : stored_;
  read_exactly(source, wanted, "member data", origin_);
  crc_ = zip_crc(wanted, crc_);
  left_ -= wanted.size();
  if (left_ == 0) check_end();
  return wanted.size();
}

void ZipSource::check_end() {
  if (checked_) return;
  checked_ = true;
  std::array<std::byte, 1> extra;
  if (inflated_ && inflated_->read(extra) != 0) {
    origin_.refuse("expected {} bytes after inflating, got more", entry_.size);
  }
  if (crc_ != entry_.crc) {
    origin_.refuse("expected CRC-32 {:08x}, got {:08x}; the data is damaged", entry_.crc, crc_);
  }
}

std::uint32_t zip_crc(std::span<const std::byte> data, std::uint32_t before) {
  if (data.empty()) return before;  // zlib takes a null pointer for a request of the start value
  return static_cast<std::uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

}  // namespace evenkeel::io
