// Writing files so that the old one stays whole until the new one is.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace evenkeel::io {

/// The whole of `content`, through interrupted and short writes. Returns 0 or an errno.
int write_fully(int descriptor, std::span<const std::byte> content);

/// "[write] cannot write '<path>': <cause>; <what to do>"
[[noreturn]] void fail_write(const std::filesystem::path& path, int error);

/// Collects a file under a temporary name in the folder of `path`; commit() puts it in its place.
/// Without commit() nothing of it remains.
class AtomicWriter {
 public:
  explicit AtomicWriter(const std::filesystem::path& path);
  ~AtomicWriter();
  AtomicWriter(const AtomicWriter&) = delete;
  AtomicWriter& operator=(const AtomicWriter&) = delete;

  void write(std::span<const std::byte> content);
  void write(std::string_view content);
  /// Where what was written lies until then.
  const std::filesystem::path& temporary() const { return temporary_; }
  /// fsync → rename → fsync of the folder.
  void commit();

 private:
  void discard();
  [[noreturn]] void give_up(int error);

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Creates a file that did not exist, with a fresh name in `folder`. Returns its descriptor and
/// name, or a negative errno.
int create_temporary(const std::filesystem::path& folder, std::filesystem::path& name);

}  // namespace evenkeel::io
