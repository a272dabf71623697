#include "readers.h"
#include "support.h"
#include <evenkeel/io/idx.h>

namespace evenkeel::fuzz {
namespace {

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string header(std::initializer_list<std::uint64_t> dims) {
  std::string out = std::string("\0\0\x08", 3) + static_cast<char>(dims.size());
  for (const std::uint64_t dim : dims) out += big(dim, 4);
  return out;
}

void read(std::string_view bytes) {
  Tensor tensor;
  if (!accepts([&] { tensor = io::read_idx(file_of(bytes)); })) return;
  if (is_gzip(bytes)) return check_tensor(tensor, 1032 * bytes.size());
  check_tensor(tensor, bytes.size());
  std::string again = std::string("\0\0\x08", 3) + static_cast<char>(tensor.rank());
  for (const std::int64_t dim : tensor.shape().dims()) {
    again += big(static_cast<std::uint64_t>(dim), 4);
  }
  again.append(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
  promise(again == bytes, "the file differs once written");
}

std::vector<Seed> seeds() {
  const std::string images = header({2, 2, 3}) + "abcdefghijkl";
  const std::string labels = header({5}) + std::string("\0\1\2\3\4", 5);
  std::string two_members = deflated(images.substr(0, 9), true) + deflated(images.substr(9), true);
  std::string wrong_crc = deflated(images, true);
  wrong_crc[wrong_crc.size() - 6] ^= 1;
  return {
      {"images", images},
      {"labels", labels},
      {"images_gz", deflated(images, true)},
      {"two_members", two_members},
      {"wrong_crc", wrong_crc},
      {"dense", deflated(header({1 << 10, 1 << 10}) + std::string(1 << 20, '\0'), true)},
      {"none", header({0, 28, 28})},
      {"huge", header({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}) + "abc"},
      {"wrapping", header({1u << 31, 1u << 31, 4}) + "abc"},
      {"zero_hides_overflow", header({0, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF})},
      {"huge_gz", deflated(header({0xFFFFFFFF, 0xFFFF}) + "abc", true)},
      {"many_dimensions", std::string("\0\0\x08\xff", 4) + std::string(1020, '\1')},
      {"floats", std::string("\0\0\x0d\x01\0\0\0\x01", 8) + "abcd"},
  };
}

std::optional<std::string> unpack(std::string_view bytes) {
  if (!is_gzip(bytes)) return std::nullopt;
  return inflated(bytes, true, 1 << 16);
}

std::string pack(std::string_view inside) { return deflated(inside, true); }

}  // namespace

Target idx_target() {
  return {.reader = "idx", .read = read, .seeds = seeds, .unpack = unpack, .pack = pack};
}

}  // namespace evenkeel::fuzz
