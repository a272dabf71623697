// Whole files: reading with a limit, gzip, writing atomically.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evenkeel::io {

/// The bytes of a file. IoError if it is missing, unreadable, a folder, or larger than `limit`.
std::vector<std::byte> read_file(const std::filesystem::path& path,
                                 std::size_t limit = std::size_t{8} << 30);
/// The same, and inflated if it begins with gzip's magic; `limit` bounds the inflated size.
std::vector<std::byte> read_file_maybe_gzip(const std::filesystem::path& path,
                                            std::size_t limit = std::size_t{8} << 30);

/// Replaces the file as a whole: temporary file in the same folder → write → fsync → rename → fsync
/// of the folder. On an error the old file is intact and IoError names the path and the cause.
void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> content);
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

/// Creates the folder if needed and proves that a file can be written in it; IoError otherwise.
void probe_writable(const std::filesystem::path& folder);

}  // namespace evenkeel::io
