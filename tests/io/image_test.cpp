#include <algorithm>

#include <gtest/gtest.h>
#include <png.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include "io/io_testing.h"
#include <evenkeel/io/image.h>

namespace evenkeel::io {
namespace {

using testing::contains;
using testing::message_of;
using testing::same;
using testing::TempFolder;

Tensor pixels(std::initializer_list<int> values, const Shape& shape) {
  Tensor tensor = Tensor::empty(shape, DType::u8);
  std::ranges::transform(values, tensor.span<std::uint8_t>().begin(),
                         [](int v) { return static_cast<std::uint8_t>(v); });
  return tensor;
}

void put_chunk(std::string& out, const std::string& type, const std::string& data) {
  testing::put_be(out, static_cast<std::uint32_t>(data.size()));
  const std::string body = type + data;
  out += body;
  testing::put_be(out,
                  static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(body.data()),
                                                   static_cast<uInt>(body.size()))));
}

/// A PNG file built by hand. `rows` is the filtered image data before compression.
std::string png_bytes(std::uint32_t width, std::uint32_t height, char depth, char colour,
                      const std::string& rows, const std::string& palette = "") {
  std::string header;
  testing::put_be(header, width);
  testing::put_be(header, height);
  header += {depth, colour, '\0', '\0', '\0'};
  uLongf size = compressBound(rows.size());
  std::string data(size, '\0');
  compress(reinterpret_cast<Bytef*>(data.data()), &size,
           reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  data.resize(size);
  std::string out("\x89PNG\r\n\x1a\n", 8);
  put_chunk(out, "IHDR", header);
  if (!palette.empty()) put_chunk(out, "PLTE", palette);
  put_chunk(out, "IDAT", data);
  put_chunk(out, "IEND", "");
  return out;
}

class Image : public ::testing::Test {
 protected:
  Tensor read(const std::string& bytes) {
    testing::write_bytes(file_, bytes);
    return read_image(file_);
  }
  std::string refusal(const std::string& bytes) {
    return message_of([&] { read(bytes); });
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "an image";
};

TEST_F(Image, grey_and_colour_come_back_in_every_format) {
  const Tensor grey = pixels({0, 1, 2, 253, 254, 255}, {1, 2, 3});
  const Tensor colour = pixels({0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255}, {3, 1, 4});
  for (const auto& [name, image] :
       {std::pair{"g.png", grey}, std::pair{"c.png", colour}, std::pair{"g.pgm", grey},
        std::pair{"c.PPM", colour}, std::pair{"no extension", colour}}) {
    write_image(folder_ / name, image);
    EXPECT_TRUE(same(read_image(folder_ / name), image)) << name;
  }
}

TEST_F(Image, png_of_other_depths_and_colours_becomes_grey_or_rgb) {
  const std::string row16("\0\x12\x34\xff\xff", 5);
  EXPECT_TRUE(same(read(png_bytes(2, 1, 16, 0, row16)), pixels({0x12, 0xff}, {1, 1, 2})));
  const std::string row1("\0\xa0", 2);
  EXPECT_TRUE(same(read(png_bytes(3, 1, 1, 0, row1)), pixels({255, 0, 255}, {1, 1, 3})));
  const std::string grey_alpha("\0\x10\x00\x20\xff", 5);
  EXPECT_TRUE(same(read(png_bytes(2, 1, 8, 4, grey_alpha)), pixels({0x10, 0x20}, {1, 1, 2})));
  const std::string rgb_alpha("\0\x01\x02\x03\x00", 5);
  EXPECT_TRUE(same(read(png_bytes(1, 1, 8, 6, rgb_alpha)), pixels({1, 2, 3}, {3, 1, 1})));
  const std::string indexed("\0\x01\x00", 3);
  EXPECT_TRUE(same(read(png_bytes(2, 1, 8, 3, indexed, "abcxyz")),
                   pixels({'x', 'a', 'y', 'b', 'z', 'c'}, {3, 1, 2})));
}

TEST_F(Image, every_prefix_of_a_png_is_refused) {
  const std::string whole = png_bytes(4, 2, 8, 0, std::string(10, '\0'));
  ASSERT_EQ(read(whole).numel(), 8);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(refusal(whole.substr(0, length)).empty()) << length;
  }
}

TEST_F(Image, claims_of_size_are_refused_before_memory_is_taken) {
  EXPECT_TRUE(contains(refusal(png_bytes(8000, 8000, 8, 0, "")), "cut short"));
  EXPECT_TRUE(contains(refusal(png_bytes(65'536, 900, 16, 6, "")), "cut short"));
  EXPECT_TRUE(contains(refusal(png_bytes(900, 65'536, 8, 6, "")), "cut short"));
  EXPECT_TRUE(contains(refusal(png_bytes(65'536, 65'536, 8, 0, "")), "at most 64000000"));
  EXPECT_TRUE(contains(refusal(png_bytes(0x7FFFFFFF, 1, 8, 0, "")), "at most 65536 rows"));
  EXPECT_TRUE(contains(refusal(png_bytes(1, 65'537, 8, 0, "")), "at most 65536 rows"));
  EXPECT_FALSE(refusal(png_bytes(0, 1, 8, 0, "")).empty());
  EXPECT_FALSE(refusal(png_bytes(0xFFFFFFFF, 1, 8, 0, "")).empty());
  EXPECT_TRUE(contains(refusal("P5 64000 1000 255\nx"), "cut short"));
  EXPECT_TRUE(contains(refusal("P5 64001 1000 255\nx"), "at most 64000000"));
  EXPECT_FALSE(refusal("P5 99999999999 1 255\nx").empty());
}

TEST_F(Image, damaged_png_names_the_file) {
  std::string bytes = png_bytes(4, 2, 8, 0, std::string(10, '\0'));
  bytes[bytes.size() - 20] ^= 1;
  EXPECT_TRUE(contains(refusal(bytes), "[image] '" + file_.string() + "': expected a PNG image"));
}

TEST_F(Image, plain_and_binary_pnm_with_comments_are_read) {
  EXPECT_TRUE(same(read("P2\n# a comment\n3 1 # more\n255\n0 128\n255\n"),
                   pixels({0, 128, 255}, {1, 1, 3})));
  EXPECT_TRUE(same(read("P3 1 1 255 1 2 3"), pixels({1, 2, 3}, {3, 1, 1})));
  EXPECT_TRUE(same(read("P5 2 1 15\n\x01\x0f"), pixels({17, 255}, {1, 1, 2})));
  EXPECT_TRUE(same(read(std::string("P5 1 1 65535\n\x12\x34", 15)), pixels({0x12}, {1, 1, 1})));
  EXPECT_TRUE(
      same(read("P6 1 2 255\nabcdef\n"), pixels({'a', 'd', 'b', 'e', 'c', 'f'}, {3, 2, 1})));
}

TEST_F(Image, damaged_pnm_is_refused) {
  for (const char* bytes : {"",
                            "P",
                            "P5",
                            "P4 1 1\nx",
                            "P5 1",
                            "P5 1 1 255",
                            "P5 0 1 255\n",
                            "P5 1 1 0\nx",
                            "P5 1 1 65536\nxx",
                            "P5 -1 1 255\nx",
                            "P5 1 1 255x",
                            "P5 2 1 255\nx",
                            "P5 1 1 255\nxy",
                            "P5 1 1 15\n\x7f",
                            "P2 1 1 15 16",
                            "P2 2 1 255 1",
                            "P2 1 1 255 1 2",
                            "P2 1 1 255 x",
                            "GIF89a",
                            "\xff\xd8\xff"}) {
    EXPECT_TRUE(contains(refusal(bytes), "[image] '")) << bytes;
  }
}

TEST_F(Image, only_images_are_written) {
  for (const Tensor& tensor :
       {Tensor(), Tensor::zeros({1, 2, 2}), Tensor::zeros({2, 2}, DType::u8),
        Tensor::zeros({2, 2, 2}, DType::u8), Tensor::zeros({1, 0, 2}, DType::u8)}) {
    EXPECT_TRUE(contains(message_of<ShapeError>([&] { write_image(folder_ / "x.png", tensor); }),
                         "expected an image"));
  }
  EXPECT_TRUE(contains(message_of<ShapeError>([&] {
                         write_image(folder_ / "x.pgm", Tensor::zeros({3, 1, 1}, DType::u8));
                       }),
                       "use convert_image"));
  EXPECT_EQ(folder_.count(), 0u);
}

TEST_F(Image, converting_to_the_same_form_changes_nothing) {
  const Tensor image = pixels({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {3, 2, 2});
  EXPECT_TRUE(same(convert_image(image, 3, 2, 2), image));
}

TEST_F(Image, grey_is_luma_and_colour_is_repeated_grey) {
  const Tensor red_and_green = pixels({255, 0, 0, 255, 0, 0}, {3, 1, 2});
  EXPECT_TRUE(same(convert_image(red_and_green, 1, 1, 2), pixels({76, 150}, {1, 1, 2})));
  EXPECT_TRUE(same(convert_image(pixels({9}, {1, 1, 1}), 3, 1, 1), pixels({9, 9, 9}, {3, 1, 1})));
}

TEST_F(Image, shrinking_averages_areas) {
  EXPECT_TRUE(same(convert_image(pixels({0, 10, 20, 30, 40, 50, 60, 70}, {1, 2, 4}), 1, 1, 2),
                   pixels({25, 45}, {1, 1, 2})));
  EXPECT_TRUE(
      same(convert_image(pixels({0, 90, 180}, {1, 1, 3}), 1, 1, 2), pixels({30, 150}, {1, 1, 2})));
}

TEST_F(Image, growing_interpolates_between_pixel_centres) {
  EXPECT_TRUE(same(convert_image(pixels({0, 100}, {1, 1, 2}), 1, 1, 4),
                   pixels({0, 25, 75, 100}, {1, 1, 4})));
  EXPECT_TRUE(
      same(convert_image(pixels({7}, {1, 1, 1}), 1, 2, 3), pixels({7, 7, 7, 7, 7, 7}, {1, 2, 3})));
}

TEST_F(Image, conversions_without_meaning_are_refused) {
  const Tensor image = pixels({1}, {1, 1, 1});
  for (const Shape& to : {Shape{2, 1, 1}, Shape{1, 0, 1}, Shape{1, 100'000, 100'000}}) {
    EXPECT_FALSE(
        message_of<ShapeError>([&] { convert_image(image, to[0], to[1], to[2]); }).empty());
  }
  EXPECT_FALSE(message_of<ShapeError>([&] { convert_image(image, 1, 1, -1); }).empty());
}

RC_GTEST_PROP(ImageProperty, a_constant_image_stays_constant_at_any_size, ()) {
  const auto extent = [] { return *rc::gen::inRange<std::int64_t>(1, 20); };
  const auto value = *rc::gen::inRange<int>(0, 256);
  const Tensor image = Tensor::full({3, extent(), extent()}, value, DType::u8);
  const Tensor other = convert_image(image, 3, extent(), extent());
  RC_ASSERT(std::ranges::all_of(other.span<std::uint8_t>(), [&](int v) { return v == value; }));
}

RC_GTEST_PROP(ImageProperty, any_image_comes_back_from_png, ()) {
  const TempFolder folder;
  const auto extent = [] { return *rc::gen::inRange<std::int64_t>(1, 12); };
  Tensor image =
      Tensor::empty({*rc::gen::element<std::int64_t>(1, 3), extent(), extent()}, DType::u8);
  for (auto& v : image.span<std::uint8_t>()) v = *rc::gen::arbitrary<std::uint8_t>();
  write_image(folder / "x.png", image);
  RC_ASSERT(same(read_image(folder / "x.png"), image));
}

}  // namespace
}  // namespace evenkeel::io
