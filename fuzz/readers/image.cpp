#include <zlib.h>

#include "readers.h"
#include "support.h"
#include <evenkeel/io/image.h>

namespace evenkeel::fuzz {
namespace {

constexpr std::int64_t kLargest = 1 << 16;  // of an image that is written again
constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";

void check_written(const Tensor& image, const char* name) {
  const std::filesystem::path copy = work_folder() / name;
  io::write_image(copy, image);
  promise(same(io::read_image(copy), image), "the image differs once written as {}", name);
}

void read(std::string_view bytes) {
  Tensor image;
  if (!accepts([&] { image = io::read_image(file_of(bytes)); })) return;
  // Deflate's ratio, and a bit becomes a byte or, with a palette, three.
  check_tensor(image, 1032 * 8 * 3 * bytes.size());
  promise(image.rank() == 3 && (image.dim(0) == 1 || image.dim(0) == 3) && image.numel() > 0,
          "an image of shape {}", image.shape().str());
  if (image.numel() > kLargest) return;
  check_written(image, "copy.png");
  check_written(image, image.dim(0) == 1 ? "copy.pgm" : "copy.ppm");
  for (const std::int64_t channels : {1, 3}) {
    const Tensor small = io::convert_image(image, channels, 5, 7);
    promise(small.shape() == Shape{channels, 5, 7}, "a converted image of shape {}",
            small.shape().str());
  }
}

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string chunk(std::string_view type, std::string_view content) {
  const std::string body = std::string(type) + std::string(content);
  return big(content.size(), 4) + body + big(checksum(body), 4);
}

struct Header {
  std::uint32_t width = 2, height = 2;
  char depth = 8, colour = 0, interlace = 0;
};

std::string png(const Header& header, std::string_view rows, const std::string& before = {},
                const std::string& after = {}) {
  std::string ihdr = big(header.width, 4) + big(header.height, 4);
  ihdr += header.depth;
  ihdr += header.colour;
  ihdr += std::string("\0\0", 2) + header.interlace;
  return std::string(kPng) + chunk("IHDR", ihdr) + before + chunk("IDAT", deflated(rows, false)) +
         after + chunk("IEND", "");
}

std::string ours(std::int64_t channels) {
  return written("seed.png", [&](const auto& path) {
    io::write_image(path, Tensor::full({channels, 3, 4}, 9, DType::u8));
  });
}

std::vector<Seed> seeds() {
  const std::string rows(400, '\0');
  const std::string palette = chunk("PLTE", "abcdefghi");
  return {
      {"ours_grey", ours(1)},
      {"ours_rgb", ours(3)},
      {"depth_1", png({9, 3, 1, 0, 0}, rows.substr(0, 9))},
      {"depth_16", png({2, 2, 16, 2, 0}, rows.substr(0, 26))},
      {"palette", png({2, 2, 8, 3, 0}, std::string("\0\0\1\0\2\1", 6), palette)},
      {"palette_past_its_end", png({2, 2, 8, 3, 0}, std::string("\0\xff\1\0\2\1", 6), palette)},
      {"transparent_palette",
       png({2, 2, 8, 3, 0}, rows.substr(0, 6), palette + chunk("tRNS", std::string("\0\xff", 2)))},
      {"grey_alpha", png({2, 2, 8, 4, 0}, rows.substr(0, 10))},
      {"rgb_alpha", png({2, 2, 8, 6, 0}, rows.substr(0, 18))},
      {"interlaced", png({8, 8, 8, 0, 1}, rows.substr(0, 64 + 15))},
      {"huge", png({0x7FFFFFFF, 0x7FFFFFFF, 16, 6, 0}, rows)},
      {"beyond_31_bits", png({0x80000000, 1, 8, 0, 0}, rows)},
      {"dense", png({8000, 8000, 1, 0, 0}, std::string(1001 * 500, '\0'))},
      {"too_few_rows", png({2, 200, 8, 0, 0}, rows.substr(0, 90))},
      {"text_chunk",
       png({}, rows.substr(0, 6),
           chunk("zTXt", std::string("k\0\0", 3) + deflated(std::string(1 << 16, 'x'), false)))},
      {"long_chunk", std::string(kPng) + big(0xFFFFFFF0, 4) + "IHDRabc"},
      {"no_rows", std::string(kPng) + chunk("IEND", "")},
      {"pgm", "P5\n# c\n3 2\n255\nabcdef"},
      {"ppm", "P6 2 1 255\nabcdef"},
      {"pgm_16", std::string("P5 2 1 65535\n\0\1\xff\xff", 17)},
      {"plain_pgm", "P2 3 1 99 1 22 33\n"},
      {"plain_ppm", "P3\n1 1\n7\n1 2 3 # end"},
      {"pnm_huge", "P5 4294967295 4294967295 255\nabc"},
      {"pnm_wrapping", "P6 65536 65537 255\nabc"},
      {"pnm_past_32_bits", "P5 99999999999 1 255\na"},
      {"bitmap", "P4 8 1\na"},
  };
}

/// Makes the checksums of a PNG's chunks fit.
void repair(std::string& bytes) {
  if (!bytes.starts_with(kPng)) return;
  std::size_t at = kPng.size();
  while (bytes.size() - at >= 12) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < 4; ++i)
      length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    if (length > bytes.size() - at - 12) return;
    bytes.replace(at + 8 + length, 4,
                  big(checksum(std::string_view(bytes).substr(at + 4, length + 4)), 4));
    at += 12 + length;
  }
}

}  // namespace

Target image_target() {
  return {.reader = "image", .read = read, .seeds = seeds, .repair = repair};
}

}  // namespace evenkeel::fuzz
