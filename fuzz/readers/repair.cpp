#include "repair.h"

#include "io/zip.h"
#include "support.h"

namespace evenkeel::fuzz {

void repair_safetensors(std::string& bytes) {
  constexpr std::size_t kLengthSize = 8;
  int depth = 0;
  bool text = false;
  for (std::size_t i = kLengthSize; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (text) {
      if (c == '\\') ++i;
      if (c == '"') text = false;
    } else if (c == '"') {
      text = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth <= 0) {
      std::size_t end = i + 1;
      while (end < bytes.size() && end % kLengthSize != 0 && bytes[end] == ' ') ++end;
      bytes.replace(0, kLengthSize, little(end - kLengthSize, kLengthSize));
      return;
    }
  }
}

void repair_npy(std::string& bytes) {
  constexpr std::size_t kVersion = 6;
  constexpr std::size_t kLength = 8;
  if (bytes.size() <= kLength + 4) return;
  const int size = bytes[kVersion] == '\x01' ? 2 : 4;
  const std::size_t begin = kLength + static_cast<std::size_t>(size);
  const std::size_t end = bytes.find('\n', begin);
  if (end == std::string::npos) return;
  bytes.replace(kLength, static_cast<std::size_t>(size), little(end + 1 - begin, size));
}

void repair_zip(std::string& bytes) {
  std::vector<std::pair<std::size_t, std::uint32_t>> patches;
  constexpr std::size_t kMostRepaired = std::size_t{1} << 20;
  constexpr std::string_view kEntry = "PK\x01\x02";
  try {
    const io::InputFile file(file_of(bytes), io::Origin("repair", "memory"));
    std::size_t at = 0;
    for (const io::ZipEntry& entry : io::read_zip_directory(file)) {
      at = bytes.find(kEntry, at);
      if (at == std::string::npos) break;
      io::FileSource stored(file, entry.data_begin, entry.compressed_size);
      std::unique_ptr<io::InflateSource> inflater;
      if (entry.method == io::ZipEntry::Method::deflated) {
        inflater = std::make_unique<io::InflateSource>(stored, io::InflateSource::Format::raw,
                                                       file.origin());
      }
      io::Source& source = inflater ? static_cast<io::Source&>(*inflater) : stored;
      std::string content(std::min<std::uint64_t>(entry.size, kMostRepaired), '\0');
      const auto room = std::as_writable_bytes(std::span<char>(content));
      patches.emplace_back(at + 16, io::zip_crc(room.first(source.read(room))));
      at += kEntry.size();
    }
  } catch (const Error&) {
    // What was found before the damage is repaired.
  }
  for (const auto& [at, crc] : patches) bytes.replace(at, 4, little(crc, 4));
}

}  // namespace evenkeel::fuzz
