// One reader and writer per image format.
#pragma once

#include <string>

#include "io/source.h"

namespace evenkeel::io {

inline constexpr std::uint64_t kMaxPixels = 64'000'000;
/// Rows of one pixel each take a PNG reader a hundred times as long as long ones.
inline constexpr std::uint64_t kMaxSide = 65'536;

/// The size of an image as its header claims it.
struct ImageSize {
  std::uint64_t channels = 0;
  std::uint64_t height = 0;
  std::uint64_t width = 0;
};
/// The number of pixels; refuses none, more than kMaxPixels and sides of more than kMaxSide.
std::uint64_t count_pixels(const ImageSize& size, const Origin& origin);
/// A tensor u8 [channels, height, width]; refused where the file has only `stored` bytes for it and
/// needs at least `least`.
Tensor allocate_image(const ImageSize& size, std::uint64_t least, std::uint64_t stored,
                      const Origin& origin);

/// Bytes in the order of files, the channels of a pixel together, to and from [C, H, W].
void from_interleaved(const std::uint8_t* pixels, Tensor& image);
std::string to_interleaved(const Tensor& image);

Tensor read_png(const InputFile& file);
Tensor read_pnm(const InputFile& file);
std::string encode_png(const Tensor& image, const Origin& origin);
std::string encode_pnm(const Tensor& image);

}  // namespace evenkeel::io
