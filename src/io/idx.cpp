#include <array>
#include <optional>

#include <fmt/ranges.h>

#include "io/bytes.h"
#include "io/source.h"
#include <evenkeel/io/idx.h>

namespace evenkeel::io {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;
constexpr std::uint64_t kMaxBytes = std::uint64_t{8} << 30;

FileShape read_idx_header(Source& source, const Origin& origin) {
  std::array<std::byte, 4> magic;
  read_exactly(source, magic, "magic number", origin);
  const auto number = [&](std::size_t i) { return std::to_integer<int>(magic[i]); };
  if (number(0) != 0 || number(1) != 0) {
    origin.refuse("expected an IDX file beginning with 00 00, got {:02x} {:02x}", number(0),
                  number(1));
  }
  if (number(2) != 0x08) {
    origin.refuse("expected unsigned bytes (type 08), got type {:02x}", number(2));
  }
  if (number(3) < 1 || number(3) > Shape::kMaxRank) {
    origin.refuse("expected 1 to {} dimensions, got {}", Shape::kMaxRank, number(3));
  }
  std::array<std::uint64_t, Shape::kMaxRank> dims{};
  const auto rank = static_cast<std::size_t>(number(3));
  for (std::size_t i = 0; i < rank; ++i) {
    std::array<std::byte, 4> extent;
    read_exactly(source, extent, "extents", origin);
    dims[i] = load_be<std::uint32_t>(extent.data());
  }
  return checked_shape(std::span(dims).first(rank), 1, 1, origin);
}

Tensor read_idx_from(Source& source, const Origin& origin) {
  const FileShape header = read_idx_header(source, origin);
  const std::uint64_t room = std::min(source.at_most(), kMaxBytes);
  if (header.bytes > room) {
    origin.refuse("expected {} bytes for shape {}, got at most {}; the file is cut short",
                  header.bytes, header.shape.str(), room);
  }
  Tensor tensor = allocate_tensor(header.shape, DType::u8, origin);
  read_exactly(source, std::as_writable_bytes(tensor.span<std::uint8_t>()), "data", origin);
  std::array<std::byte, 1> extra;
  if (source.read(extra) != 0) {
    origin.refuse("expected {} bytes for shape {}, got more", header.bytes, header.shape.str());
  }
  return tensor;
}

}  // namespace

Tensor read_idx(const std::filesystem::path& path) {
  const InputFile file(path, Origin("idx", path));
  FileSource plain(file);
  if (!is_gzip(file)) return read_idx_from(plain, file.origin());
  InflateSource inflated(plain, InflateSource::Format::gzip, file.origin());
  return read_idx_from(inflated, file.origin());
}

Cifar read_cifar10(const std::filesystem::path& path) {
  const InputFile file(path, Origin("cifar10", path));
  const Origin& origin = file.origin();
  if (file.size() == 0 || file.size() % kRecord != 0) {
    origin.refuse("expected records of {} bytes, got {} bytes: {} whole records and {} bytes over",
                  kRecord, file.size(), file.size() / kRecord, file.size() % kRecord);
  }
  const auto count = static_cast<std::int64_t>(file.size() / kRecord);
  Cifar result;
  result.images = allocate_tensor(Shape{count, 3, 32, 32}, DType::u8, origin);
  result.labels.reserve(static_cast<std::size_t>(count));
  FileSource source(file);
  auto pixels = std::as_writable_bytes(result.images.span<std::uint8_t>());
  std::array<std::byte, kRecord> record;
  for (std::int64_t i = 0; i < count; ++i) {
    read_exactly(source, record, "records", origin);
    const auto label = std::to_integer<std::int32_t>(record[0]);
    if (label > 9) origin.refuse("expected labels 0 to 9, got {} in record {}", label, i);
    result.labels.push_back(label);
    std::copy(record.begin() + 1, record.end(), pixels.begin());
    pixels = pixels.subspan(kPixels);
  }
  return result;
}

}  // namespace evenkeel::io
