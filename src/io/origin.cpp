#include "io/origin.h"

#include <algorithm>
#include <limits>
#include <new>
#include <vector>

#include <fmt/ranges.h>

namespace evenkeel::io {
namespace {

/// Bytes of the printable UTF-8 character that begins at `i`; 0 if there is none.
std::size_t printable_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F ? 1 : 0;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(i + 1);
  // Overlong forms, surrogates, beyond U+10FFFF, and the control characters U+0080 to U+009F.
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F) ||
      (lead == 0xC2 && second < 0xA0)) {
    return 0;
  }
  return length;
}

}  // namespace

std::string quote(std::string_view text, std::size_t limit) {
  std::string out = "'";
  std::size_t i = 0;
  while (i < text.size() && i < limit) {
    const std::size_t length = printable_length(text, i);
    if (length == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      ++i;
    } else {
      out.append(text.substr(i, length));
      i += length;
    }
  }
  if (i < text.size()) out += fmt::format("… ({} bytes)", text.size());
  return out + "'";
}

std::string quote_path(const std::filesystem::path& path) {
  return quote(path.native(), std::numeric_limits<std::size_t>::max());
}

Origin::Origin(std::string_view format, const std::filesystem::path& path)
    : text_(fmt::format("[{}] {}", format, quote_path(path))) {}

Origin Origin::part(std::string_view kind, std::string_view name) const {
  return Origin(fmt::format("{}: {} {}", text_, kind, quote(name)));
}

FileShape checked_shape(std::span<const std::uint64_t> dims, std::uint64_t stored,
                        std::uint64_t held, const Origin& origin) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (dims.size() > Shape::kMaxRank) {
    origin.refuse("expected at most {} dimensions, got {}", Shape::kMaxRank, dims.size());
  }
  // A zero extent must not hide an overflow of the others: strides are computed from them.
  const std::uint64_t item_size = std::max(stored, held);
  std::uint64_t bytes = item_size;
  bool empty = false;
  std::vector<std::int64_t> extents;
  for (const std::uint64_t dim : dims) {
    if (dim == 0) {
      empty = true;
    } else if (bytes > kMax / dim) {
      origin.refuse("expected a size that fits 63 bits, got shape [{}] of {}-byte elements",
                    fmt::join(dims, ", "), item_size);
    } else {
      bytes *= dim;
    }
    extents.push_back(static_cast<std::int64_t>(dim));
  }
  return {Shape(std::span<const std::int64_t>(extents)), empty ? 0 : bytes / item_size * stored};
}

Tensor allocate_tensor(const Shape& shape, DType dtype, const Origin& origin) {
  try {
    return Tensor::empty(shape, dtype);
  } catch (const std::bad_alloc&) {
    origin.refuse("not enough memory for {} elements of {}; use a smaller file", shape.str(),
                  name_of(dtype));
  } catch (const ShapeError&) {
    origin.refuse("{} elements of {} are too many", shape.str(), name_of(dtype));
  }
}

}  // namespace evenkeel::io
