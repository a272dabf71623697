#include <algorithm>

#include "io/source.h"
#include <evenkeel/io/file.h>

namespace evenkeel::io {
namespace {

void check_limit(std::uint64_t size, std::size_t limit, const Origin& origin) {
  if (size > limit) origin.refuse("expected at most {} bytes, got {}", limit, size);
}

std::vector<std::byte> read_whole(const InputFile& file, std::size_t limit) {
  check_limit(file.size(), limit, file.origin());
  std::vector<std::byte> content(static_cast<std::size_t>(file.size()));
  file.read_at(0, content);
  return content;
}

/// Grows with what really comes: the size in gzip's trailer is only a claim.
std::vector<std::byte> inflate_whole(const InputFile& file, std::size_t limit) {
  FileSource compressed(file);
  InflateSource source(compressed, InflateSource::Format::gzip, file.origin());
  std::vector<std::byte> content;
  std::size_t chunk = std::size_t{64} * 1024;
  while (true) {
    const std::size_t before = content.size();
    content.resize(before + chunk);
    const std::size_t got = source.read(std::span(content).subspan(before));
    if (got > limit - before) {
      file.origin().refuse("expected at most {} bytes after inflating, got more", limit);
    }
    if (got < chunk) {
      content.resize(before + got);
      return content;
    }
    chunk = std::max(chunk, content.size() / 2);
    // One byte beyond the limit is enough to know that it is passed.
    chunk = std::min(chunk, limit - content.size() + 1);
  }
}

template <class F>
std::vector<std::byte> with_memory(const InputFile& file, F&& read) {
  try {
    return read();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  file.origin().refuse("not enough memory for its {} bytes", file.size());
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t limit) {
  const InputFile file(path, Origin("read", path));
  return with_memory(file, [&] { return read_whole(file, limit); });
}

std::vector<std::byte> read_file_maybe_gzip(const std::filesystem::path& path, std::size_t limit) {
  const InputFile file(path, Origin("read", path));
  return with_memory(
      file, [&] { return is_gzip(file) ? inflate_whole(file, limit) : read_whole(file, limit); });
}

}  // namespace evenkeel::io
