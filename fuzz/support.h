// What the targets share: files in memory, promises, bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <evenkeel/core/error.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::fuzz {

/// A promise that a reader broke. No evenkeel::Error, so that nothing takes it for a refusal.
class Violation : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

template <class... Args>
void promise(bool kept, fmt::format_string<Args...> format, Args&&... args) {
  if (!kept) throw Violation(fmt::format(format, std::forward<Args>(args)...));
}

/// A message says where it comes from and is of a length that a person reads, on one line unless a
/// value that it repeats has several.
enum class Lines { one, any };
void check_message(std::string_view text, Lines lines = Lines::one);

/// Runs f; true where it returns, false where it refuses.
template <class F>
bool accepts(F&& f, Lines lines = Lines::one) {
  try {
    f();
    return true;
  } catch (const Error& error) {
    check_message(error.what(), lines);
    return false;
  }
}

/// The same shape, type and bits.
bool same(const Tensor& a, const Tensor& b);
/// Extents of 0 or more whose product is the number of elements; at most `most` bytes.
void check_tensor(const Tensor& tensor, std::uint64_t most);

/// A file without a name: as quick as a file can be had, and read through its path like any other.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void set(std::string_view bytes);

 private:
  int descriptor_;
  std::filesystem::path path_;
};
/// The path of a file that holds `bytes` until the next call.
const std::filesystem::path& file_of(std::string_view bytes);

/// A folder of this process, in memory where the system has /dev/shm and TMPDIR names no other;
/// removed with the process.
const std::filesystem::path& work_folder();

std::string read_bytes(const std::filesystem::path& path);
/// Writes in place: other links to the file see the same bytes.
void write_bytes(const std::filesystem::path& path, std::string_view bytes);
/// What `write` puts into a file of that name.
template <class F>
std::string written(const char* name, F&& write) {
  const std::filesystem::path path = work_folder() / name;
  write(path);
  return read_bytes(path);
}

/// `count` bytes of a number, lowest or highest first.
std::string little(std::uint64_t value, int count);
std::string big(std::uint64_t value, int count);

/// A gzip or zlib stream of the bytes; nothing where they are no whole one, or inflate to more than
/// `limit`.
std::string deflated(std::string_view bytes, bool gzip);
std::optional<std::string> inflated(std::string_view bytes, bool gzip, std::size_t limit);

}  // namespace evenkeel::fuzz
