// A library to preload (LD_PRELOAD) that counts the calls by which a program changes files below
// one folder, and makes chosen ones go wrong. It passes calls on to the kernel itself, so that it
// works before and beside anything else that interposes them.
//
// EVENKEEL_FAULT_FOLDER=/an/absolute/path    calls on other paths are not seen
// EVENKEEL_FAULT=ACTION:KIND:RANGE[:WORD],…  what goes wrong, and when
//   ACTION  kill (by SIGKILL, before the call), cut (a write: half of it, then kill), fail (with
//   the
//           errno WORD), short (a write: half of it), signal (send WORD, INT or TERM, then go on)
//   KIND    open write fsync fsyncdir rename unlink truncate close mkdir any
//   RANGE   counts the calls of that kind from 1: 7, 7+ (from the seventh on) or *
// EVENKEEL_FAULT_RECORD=FILE                 one line per call: number, kind, number in its kind,
//                                            result, path and other path, divided by tabs

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "plan.h"

namespace {

using namespace evenkeel::faults;

std::string absolute(int folder, const char* path) {
  if (path[0] == '/') return path;
  std::array<char, 4096> base{};
  if (folder == AT_FDCWD) {
    if (::getcwd(base.data(), base.size()) == nullptr) return path;
  } else {
    const std::string link = "/proc/self/fd/" + std::to_string(folder);
    if (::readlink(link.c_str(), base.data(), base.size() - 1) < 0) return path;
  }
  return std::string(base.data()) + '/' + path;
}

/// A call on `path` that `real` makes: counted, perhaps failed, noted. `real` returns what the
/// kernel does and sets errno.
template <class Real>
long call(std::size_t kind, const std::string& path, const std::string& other, Real real) {
  Plan& plan = Plan::get();
  if (!plan.watches(path) && (other.empty() || !plan.watches(other))) return real();
  Numbers numbers;
  const Fault* const fault = plan.count(kind, numbers);
  if (fault != nullptr && fault->action == Action::fail) {
    plan.note(kind, numbers, -fault->word, path, other);
    errno = fault->word;
    return -1;
  }
  const long result = real();
  const int error = errno;
  plan.note(kind, numbers, result < 0 ? -error : result, path, other);
  errno = error;
  return result;
}

long do_open(int folder, const char* path, int flags, mode_t mode) {
  Plan& plan = Plan::get();
  const std::string whole = absolute(folder, path);
  const auto real = [&] { return ::syscall(SYS_openat, folder, path, flags, mode); };
  const bool changes = (flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0;
  const long descriptor = changes ? call(open_file, whole, "", real) : real();
  if (descriptor < 0) return descriptor;
  const bool is_folder = (flags & O_DIRECTORY) != 0;
  if (plan.watches(whole) && (changes || is_folder)) {
    plan.opened(static_cast<int>(descriptor), whole, is_folder);
  } else {
    plan.forget(static_cast<int>(descriptor));
  }
  return descriptor;
}

/// `real(size)` writes that many of `size` bytes.
template <class Real>
ssize_t do_write(int descriptor, std::size_t size, Real real) {
  Plan& plan = Plan::get();
  Opened file;
  if (!plan.find(descriptor, file)) return real(size);
  Numbers numbers;
  const Fault* const fault = plan.count(write_data, numbers);
  const std::size_t half = size / 2 + size % 2;
  long result = -1;
  if (fault != nullptr && fault->action == Action::fail) {
    errno = fault->word;
  } else if (fault != nullptr && fault->action == Action::cut) {
    real(size / 2);
    Plan::die();
  } else {
    result = real(fault != nullptr ? half : size);
  }
  const int error = errno;
  plan.note(write_data, numbers, result < 0 ? -error : result, file.path, "");
  errno = error;
  return result;
}

template <class Real>
int do_sync(int descriptor, Real real) {
  Opened file;
  if (!Plan::get().find(descriptor, file)) return static_cast<int>(real());
  return static_cast<int>(call(file.folder ? sync_folder : sync_file, file.path, "", real));
}

template <class Real>
int do_truncate(int descriptor, Real real) {
  Opened file;
  if (!Plan::get().find(descriptor, file)) return static_cast<int>(real());
  return static_cast<int>(call(truncate_file, file.path, "", real));
}

int do_rename(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  return static_cast<int>(
      call(rename_file, absolute(from_folder, from), absolute(to_folder, to),
           [&] { return ::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags); }));
}

int do_unlink(int folder, const char* path, int flags) {
  return static_cast<int>(call(unlink_file, absolute(folder, path), "",
                               [&] { return ::syscall(SYS_unlinkat, folder, path, flags); }));
}

int do_mkdir(int folder, const char* path, mode_t mode) {
  return static_cast<int>(call(make_folder, absolute(folder, path), "",
                               [&] { return ::syscall(SYS_mkdirat, folder, path, mode); }));
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(do_open(AT_FDCWD, path, flags, mode));
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(do_open(AT_FDCWD, path, flags, mode));
}

int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(do_open(folder, path, flags, mode));
}

int openat64(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return static_cast<int>(do_open(folder, path, flags, mode));
}

int creat(const char* path, mode_t mode) {
  return static_cast<int>(do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode));
}

ssize_t write(int descriptor, const void* data, std::size_t size) {
  return do_write(descriptor, size,
                  [&](std::size_t n) { return ::syscall(SYS_write, descriptor, data, n); });
}

ssize_t pwrite(int descriptor, const void* data, std::size_t size, off_t at) {
  return do_write(descriptor, size,
                  [&](std::size_t n) { return ::syscall(SYS_pwrite64, descriptor, data, n, at); });
}

ssize_t pwrite64(int descriptor, const void* data, std::size_t size, off64_t at) {
  return pwrite(descriptor, data, size, at);
}

/// Only the first part is written where half of it is asked for.
ssize_t writev(int descriptor, const iovec* parts, int count) {
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  return do_write(descriptor, size, [&](std::size_t n) {
    if (n < size && count > 0) {
      return ::syscall(SYS_write, descriptor, parts[0].iov_base, std::min(n, parts[0].iov_len));
    }
    return ::syscall(SYS_writev, descriptor, parts, count);
  });
}

int fsync(int descriptor) {
  return do_sync(descriptor, [&] { return ::syscall(SYS_fsync, descriptor); });
}

int fdatasync(int descriptor) {
  return do_sync(descriptor, [&] { return ::syscall(SYS_fdatasync, descriptor); });
}

int ftruncate(int descriptor, off_t size) noexcept {
  return do_truncate(descriptor, [&] { return ::syscall(SYS_ftruncate, descriptor, size); });
}

int ftruncate64(int descriptor, off64_t size) noexcept { return ftruncate(descriptor, size); }

int truncate(const char* path, off_t size) noexcept {
  return static_cast<int>(call(truncate_file, absolute(AT_FDCWD, path), "",
                               [&] { return ::syscall(SYS_truncate, path, size); }));
}

int truncate64(const char* path, off64_t size) noexcept { return truncate(path, size); }

int close(int descriptor) {
  Plan& plan = Plan::get();
  Opened file;
  const bool known = plan.find(descriptor, file);
  if (known) plan.forget(descriptor);
  if (!known || file.folder) return static_cast<int>(::syscall(SYS_close, descriptor));
  const int result = static_cast<int>(call(close_file, file.path, "", [] { return 0L; }));
  const int error = errno;
  ::syscall(SYS_close, descriptor);  // as the kernel: closed, whatever it says
  errno = error;
  return result;
}

int rename(const char* from, const char* to) noexcept {
  return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return do_rename(from_folder, from, to_folder, to, 0);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  return do_rename(from_folder, from, to_folder, to, flags);
}

int unlink(const char* path) noexcept { return do_unlink(AT_FDCWD, path, 0); }

int unlinkat(int folder, const char* path, int flags) noexcept {
  return do_unlink(folder, path, flags);
}

int rmdir(const char* path) noexcept { return do_unlink(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char* path) noexcept {
  struct stat status {};
  const bool folder = ::lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return do_unlink(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}

int mkdir(const char* path, mode_t mode) noexcept { return do_mkdir(AT_FDCWD, path, mode); }

int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  return do_mkdir(folder, path, mode);
}

}  // extern "C"
