#include "io/npy.h"

#include <algorithm>
#include <array>

#include "io/atomic_writer.h"
#include "io/bytes.h"
#include "io/npy_header.h"
#include "io/widen.h"
#include <evenkeel/io/npy.h>

namespace evenkeel::io {
namespace {

// A header of the three known keys is about a hundred bytes long.
constexpr std::uint64_t kMaxHeader = 64 * 1024;
constexpr std::size_t kChunkItems = 8192;

struct StoredType {
  std::string_view name;  // without the byte order
  std::size_t size;
  DType dtype;
  Convert convert;
};
constexpr std::array kStoredTypes = {
    StoredType{"f4", 4, DType::f32, widen<float, float>},
    StoredType{"f8", 8, DType::f64, widen<double, double>},
    StoredType{"i8", 8, DType::i64, widen<std::int64_t, std::int64_t>},
    StoredType{"i4", 4, DType::i32, widen<std::int32_t, std::int32_t>},
    StoredType{"u1", 1, DType::u8, widen<std::uint8_t, std::uint8_t>},
    StoredType{"b1", 1, DType::u8, widen<std::uint8_t, std::uint8_t>},
    StoredType{"i1", 1, DType::i32, widen<std::int8_t, std::int32_t>},
    StoredType{"i2", 2, DType::i32, widen<std::int16_t, std::int32_t>},
    StoredType{"u2", 2, DType::i32, widen<std::uint16_t, std::int32_t>},
    StoredType{"u4", 4, DType::i64, widen<std::uint32_t, std::int64_t>},
    StoredType{"f2", 2, DType::f32, widen_half},
};

const StoredType& find_type(const std::string& descr, const Origin& origin) {
  const std::string_view name = std::string_view(descr).substr(descr.empty() ? 0 : 1);
  const bool order = !descr.empty() && std::string_view("<>=|").find(descr[0]) != std::string::npos;
  const auto* found = std::ranges::find(kStoredTypes, name, &StoredType::name);
  if (order && found != kStoredTypes.end()) return *found;
  if (name.starts_with('O')) {
    origin.refuse(
        "expected numbers, got Python objects, which are never unpickled; save with a "
        "numeric dtype");
  }
  origin.refuse(
      "expected dtype f2, f4, f8, i1, i2, i4, i8, u1, u2, u4 or b1, got {}; convert with astype()",
      quote(descr));
}

std::string read_header(Source& source, const Origin& origin) {
  std::array<std::byte, 8> magic;
  read_exactly(source, magic, "magic number", origin);
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (!std::ranges::equal(as_bytes(kMagic), std::span(magic).first(kMagic.size()))) {
    origin.refuse("expected an array that begins with \\x93NUMPY, got something else");
  }
  const int major = std::to_integer<int>(magic[6]);
  const int minor = std::to_integer<int>(magic[7]);
  if (major < 1 || major > 3 || minor != 0) {
    origin.refuse("expected format version 1.0, 2.0 or 3.0, got {}.{}", major, minor);
  }
  std::array<std::byte, 4> field{};  // two bytes in version 1; the upper ones stay zero
  read_exactly(source, std::span(field).first(major == 1 ? 2 : 4), "header length", origin);
  const std::uint64_t length = load_le<std::uint32_t>(field.data());
  const std::uint64_t most = std::min(kMaxHeader, source.at_most());
  if (length > most) {
    origin.refuse("expected a header of at most {} bytes, got a header length of {}", most, length);
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  read_exactly(source, std::as_writable_bytes(std::span<char>(text)), "header", origin);
  return text;
}

void read_elements(Source& source, const StoredType& type, bool swap, Tensor& tensor,
                   const Origin& origin) {
  std::array<std::byte, kChunkItems * 8> buffer;
  const auto total = static_cast<std::size_t>(tensor.numel());
  for (std::size_t index = 0; index < total;) {
    const std::size_t count = std::min(kChunkItems, total - index);
    const auto chunk = std::span(buffer).first(count * type.size);
    read_exactly(source, chunk, "data", origin);
    if (swap) {
      for (auto item = chunk.begin(); item != chunk.end();) {
        const auto next = item + static_cast<std::ptrdiff_t>(type.size);
        std::reverse(item, next);
        item = next;
      }
    }
    type.convert(chunk.data(), tensor.raw(), index, count);
    index += count;
  }
}

/// Elements in Fortran order, first index fastest, to C order.
Tensor from_fortran(const Tensor& stored, const Origin& origin) {
  Tensor result = allocate_tensor(stored.shape(), stored.dtype(), origin);
  const Shape& shape = stored.shape();
  const std::size_t size = size_of(stored.dtype());
  const auto* in = static_cast<const std::byte*>(stored.raw());
  auto* out = static_cast<std::byte*>(result.raw());
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::array<std::int64_t, Shape::kMaxRank> stride{};
  std::int64_t step = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    stride[static_cast<std::size_t>(d)] = step;
    step *= shape[d];
  }
  std::int64_t from = 0;
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    std::memcpy(out + static_cast<std::size_t>(i) * size,
                in + static_cast<std::size_t>(from) * size, size);
    for (int d = shape.rank() - 1; d >= 0; --d) {
      const auto k = static_cast<std::size_t>(d);
      from += stride[k];
      if (++index[k] < shape[d]) break;
      from -= stride[k] * index[k];
      index[k] = 0;
    }
  }
  return result;
}

}  // namespace

Tensor read_npy_from(Source& source, const Origin& origin) {
  const NpyHeader header = parse_npy_header(read_header(source, origin), origin);
  const StoredType& type = find_type(header.descr, origin);
  const FileShape size = checked_shape(header.shape, type.size, size_of(type.dtype), origin);
  if (size.bytes > source.at_most()) {
    origin.refuse("expected {} bytes for shape {} of {}, got {}; the file is cut short", size.bytes,
                  size.shape.str(), type.name, source.at_most());
  }
  Tensor tensor = allocate_tensor(size.shape, type.dtype, origin);
  read_elements(source, type, header.descr[0] == '>', tensor, origin);
  std::array<std::byte, 1> extra;
  if (source.read(extra) != 0) {
    origin.refuse("expected {} bytes for shape {} of {}, got more", size.bytes, size.shape.str(),
                  type.name);
  }
  const bool same_either_way = size.shape.rank() < 2 || size.shape.numel() == 0;
  return header.fortran_order && !same_either_way ? from_fortran(tensor, origin) : tensor;
}

std::string npy_header_of(const Tensor& tensor) {
  const auto* type = std::ranges::find(kStoredTypes, tensor.dtype(), &StoredType::dtype);
  return make_npy_header(fmt::format("{}{}", type->size == 1 ? '|' : '<', type->name),
                         tensor.shape());
}

Tensor npy_storable(const Tensor& tensor, const Origin& origin) {
  if (!tensor.defined()) origin.refuse("expected a tensor to write, got one that holds nothing");
  const Tensor first = tensor.to(Layout::channels_first);
  return first.dtype() == DType::bf16 ? first.to(DType::f32) : first;
}

Tensor read_npy(const std::filesystem::path& path) {
  const InputFile file(path, Origin("npy", path));
  FileSource source(file);
  return read_npy_from(source, file.origin());
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const Tensor stored = npy_storable(tensor, Origin("npy", path));
  AtomicWriter writer(path);
  writer.write(npy_header_of(stored));
  writer.write(std::span(static_cast<const std::byte*>(stored.raw()), stored.bytes()));
  writer.commit();
}

}  // namespace evenkeel::io
