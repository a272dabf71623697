// Where a fault lies: the first half of every message of a reader.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <evenkeel/core/error.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

/// 'text', on one line whatever it holds: control characters and bytes that are not UTF-8 as \xNN,
/// and cut after `limit` bytes.
std::string quote(std::string_view text, std::size_t limit = 80);
std::string quote_path(const std::filesystem::path& path);

/// "[npy] 'folder/x.npy'", or a part of it: "[npz] 'folder/x.npz': array 'w'".
class Origin {
 public:
  Origin(std::string_view format, const std::filesystem::path& path);

  Origin part(std::string_view kind, std::string_view name) const;
  const std::string& str() const { return text_; }

  /// Throws IoError "<origin>: <message>".
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail<IoError>("{}: {}", text_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  explicit Origin(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// A shape read from a file, and the bytes that its elements take there.
struct FileShape {
  Shape shape;
  std::uint64_t bytes = 0;
};
/// Refuses more dimensions than a Shape holds and sizes that do not fit 63 bits, of elements that take
/// `stored` bytes in the file and `held` in memory.
FileShape checked_shape(std::span<const std::uint64_t> dims, std::uint64_t stored,
                        std::uint64_t held, const Origin& origin);

/// Tensor::empty whose lack of memory is an IoError.
Tensor allocate_tensor(const Shape& shape, DType dtype, const Origin& origin);

}  // namespace evenkeel::io
