#include "io/atomic_writer.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/bytes.h"
#include "io/origin.h"
#include <evenkeel/core/error.h>
#include <evenkeel/io/file.h>

namespace evenkeel::io {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

const char* advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another folder";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f) or choose another folder";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a folder that you may write to";
    case ENOENT:
      return "create its folder first";
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return "choose another path";
    default:
      return "check the disk or choose another folder";
  }
}

std::string cause(int error) {
  return fmt::format("{}; {}", std::generic_category().message(error), advice(error));
}

/// Makes a rename in the folder last. File systems that cannot sync folders say EINVAL.
int sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno == EACCES ? 0 : errno;  // a folder one may write but not list
  const int error = ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  ::close(descriptor);
  return error;
}

}  // namespace

int write_fully(int descriptor, std::span<const std::byte> content) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // the kernel takes less than 2 GiB at once
  while (!content.empty()) {
    const ssize_t put = ::write(descriptor, content.data(), std::min(content.size(), kMost));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    if (put == 0) return EIO;
    content = content.subspan(static_cast<std::size_t>(put));
  }
  return 0;
}

void fail_write(const std::filesystem::path& path, int error) {
  fail<IoError>("[write] cannot write {}: {}", quote_path(path), cause(error));
}

int create_temporary(const std::filesystem::path& folder, std::filesystem::path& name) {
  static std::atomic<unsigned> counter{0};
  // The name does not depend on the target's, which may be as long as names can be.
  for (int attempt = 0; attempt < 100; ++attempt) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    name = folder / fmt::format(".evenkeel-{}-{}-{}.tmp", ::getpid(), counter++, now);
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return descriptor;
    if (errno != EEXIST && errno != EINTR) return -errno;
  }
  return -EEXIST;
}

AtomicWriter::AtomicWriter(const std::filesystem::path& path) : path_(path) {
  descriptor_ = create_temporary(folder_of(path), temporary_);
  if (descriptor_ < 0) fail_write(path, -descriptor_);
}

AtomicWriter::~AtomicWriter() { discard(); }

void AtomicWriter::discard() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicWriter::give_up(int error) {
  discard();
  fail_write(path_, error);
}

void AtomicWriter::write(std::span<const std::byte> content) {
  if (descriptor_ < 0) fail_write(path_, EBADF);
  if (const int error = write_fully(descriptor_, content); error != 0) give_up(error);
}

void AtomicWriter::write(std::string_view content) { write(as_bytes(content)); }

void AtomicWriter::commit() {
  if (descriptor_ < 0) fail_write(path_, EBADF);
  if (::fsync(descriptor_) != 0) give_up(errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0 && errno != EINTR) give_up(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) give_up(errno);
  temporary_.clear();
  if (const int error = sync_folder(folder_of(path_)); error != 0) fail_write(path_, error);
}

void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> content) {
  AtomicWriter writer(path);
  writer.write(content);
  writer.commit();
}

void write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  write_file_atomic(path, as_bytes(content));
}

void probe_writable(const std::filesystem::path& folder) {
  const auto refuse = [&](int error) {
    fail<IoError>("[write] cannot create files in {}: {}", quote_path(folder), cause(error));
  };
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) refuse(code.value());
  if (!std::filesystem::is_directory(folder, code)) refuse(ENOTDIR);
  std::filesystem::path name;
  const int descriptor = create_temporary(folder, name);
  if (descriptor < 0) refuse(-descriptor);
  const int written = write_fully(descriptor, as_bytes("evenkeel\n"));
  const int closed = ::close(descriptor) == 0 ? 0 : errno;
  ::unlink(name.c_str());
  if (written != 0) refuse(written);
  if (closed != 0) refuse(closed);
}

}  // namespace evenkeel::io
