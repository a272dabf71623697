#include "io/atomic_writer.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
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

/// Makes the folder and what is missing above it, and lets their names last.
int make_folders(const std::filesystem::path& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> missing;
  for (auto at = folder; !at.empty() && !std::filesystem::exists(at, code); at = at.parent_path()) {
    missing.push_back(at);
  }
  std::filesystem::create_directories(folder, code);
  if (code) return code.value();
  for (const auto& made : missing) {
    if (const int error = sync_folder(folder_of(made)); error != 0) return error;
  }
  return 0;
}

bool is_temporary(const std::filesystem::path& path) {
  return path.filename().string().starts_with(".evenkeel-") && path.extension() == ".tmp";
}

/// Removes temporary files whose writers were killed. Those that are being written are locked;
/// where files cannot be locked, nothing is removed.
void clear_abandoned(const std::filesystem::path& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> names;
  std::filesystem::directory_iterator entry(folder, code);
  for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
    if (is_temporary(entry->path())) names.push_back(entry->path());
  }
  for (const auto& name : names) {
    const int descriptor = ::open(name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(name.c_str());
    ::close(descriptor);
  }
}

/// Keeps clear_abandoned of other processes away. False where one was faster.
bool claim(int descriptor) {
  struct stat status {};
  ::flock(descriptor, LOCK_EX | LOCK_NB);
  return ::fstat(descriptor, &status) != 0 || status.st_nlink > 0;
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
    // Nor does its length depend on anything: where one can be made, every later one can.
    name = folder / fmt::format(".evenkeel-{:010}-{:010}-{:020}.tmp", ::getpid(), counter++, now);
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 && claim(descriptor)) return descriptor;
    if (descriptor >= 0) {
      ::close(descriptor);
    } else if (errno != EEXIST && errno != EINTR) {
      return -errno;
    }
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
  // Open until it has its name, for the lock; after fsync, closing has nothing left to report.
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) give_up(errno);
  temporary_.clear();
  ::close(std::exchange(descriptor_, -1));
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
  if (const int error = make_folders(folder); error != 0) refuse(error);
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code)) refuse(ENOTDIR);
  clear_abandoned(folder);
  std::filesystem::path name;
  const int descriptor = create_temporary(folder, name);
  if (descriptor < 0) refuse(-descriptor);
  const int written = write_fully(descriptor, as_bytes("evenkeel\n"));
  const int closed = ::close(descriptor) == 0 || errno == EINTR ? 0 : errno;
  ::unlink(name.c_str());
  if (written != 0) refuse(written);
  if (closed != 0) refuse(closed);
}

}  // namespace evenkeel::io
