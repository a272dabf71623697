#include <array>

#include "io/bytes.h"
#include <evenkeel/io/checksum.h>

namespace evenkeel::io {
namespace {

using Table = std::array<std::uint32_t, 256>;

// tables[k][b] is the effect of byte b followed by k zero bytes, so that eight bytes are taken at
// once.
constexpr std::array<Table, 8> make_tables() {
  constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78u;
  std::array<Table, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 1u) != 0 ? (crc >> 1) ^ kReflectedPolynomial : crc >> 1;
    }
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t b = 0; b < 256; ++b) {
      const std::uint32_t before = tables[k - 1][b];
      tables[k][b] = (before >> 8) ^ tables[0][before & 0xFFu];
    }
  }
  return tables;
}

constexpr std::array<Table, 8> kTables = make_tables();

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  while (data.size() >= 8) {
    const auto word = load_le<std::uint64_t>(data.data()) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xFFu];
    data = data.subspan(8);
  }
  for (const std::byte b : data) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(b)) & 0xFFu];
  }
  return ~crc;
}

}  // namespace evenkeel::io
