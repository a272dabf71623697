#include "io/source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace evenkeel::io {
namespace {

std::string message(int error) { return std::generic_category().message(error); }

}  // namespace

InputFile::InputFile(const std::filesystem::path& path, Origin origin)
    : origin_(std::move(origin)) {
  // O_NONBLOCK: opening a pipe without a writer must not hang; it is refused just below.
  do {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) {
    origin_.refuse("cannot open for reading: {}; check the path and its permissions",
                   message(errno));
  }
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const bool folder = known && S_ISDIR(status.st_mode);
    ::close(descriptor_);  // the destructor does not run for a constructor that throws
    origin_.refuse("expected a file, got {}", folder ? "a folder" : "a device or pipe");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) origin_.refuse("cannot read: {}", message(errno));
    if (got == 0) {
      origin_.refuse("expected {} bytes, got {}; the file shrank while it was read", size_, offset);
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void read_exactly(Source& source, std::span<std::byte> out, std::string_view what,
                  const Origin& origin) {
  const std::size_t got = source.read(out);
  if (got != out.size()) {
    origin.refuse("expected {} bytes of {}, got {}; the file is cut short", out.size(), what, got);
  }
}

std::size_t FileSource::read(std::span<std::byte> out) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_));
  file_.read_at(offset_, out.first(count));
  offset_ += count;
  left_ -= count;
  return count;
}

bool is_gzip(const InputFile& file) {
  std::array<std::byte, 2> magic{};
  if (file.size() < magic.size()) return false;
  file.read_at(0, magic);
  return magic[0] == std::byte{0x1F} && magic[1] == std::byte{0x8B};
}

}  // namespace evenkeel::io
