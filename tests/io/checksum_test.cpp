#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <evenkeel/io/checksum.h>

namespace evenkeel::io {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Crc32c, published_check_values_come_out) {
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c(bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c(bytes(std::string(32, '\0'))), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(bytes(std::string(32, '\xff'))), 0x62A8AB43u);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising += c;
  EXPECT_EQ(crc32c(bytes(rising)), 0x46DD794Eu);
}

RC_GTEST_PROP(Crc32cProperty, a_checksum_goes_on_where_another_ended,
              (const std::string& first, const std::string& second)) {
  RC_ASSERT(crc32c(bytes(second), crc32c(bytes(first))) == crc32c(bytes(first + second)));
}

RC_GTEST_PROP(Crc32cProperty, every_flipped_bit_changes_it, (std::vector<char> data)) {
  RC_PRE(!data.empty());
  const auto before = crc32c(std::as_bytes(std::span(data)));
  const auto bit = *rc::gen::inRange<std::size_t>(0, data.size() * 8);
  data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
  RC_ASSERT(crc32c(std::as_bytes(std::span(data))) != before);
}

}  // namespace
}  // namespace evenkeel::io
