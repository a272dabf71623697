// PNG and PGM/PPM images.
#pragma once

#include <filesystem>

#include <evenkeel/core/tensor.h>

namespace evenkeel::io {

/// u8 [C, H, W] with C = 1 (grey) or 3 (RGB); alpha is dropped, palettes are expanded, 16 bits are
/// cut to 8. At most 64 megapixels and 65536 rows and columns. IoError names the file and the
/// fault.
Tensor read_image(const std::filesystem::path& path);
/// u8 [1 or 3, H, W] as PNG, or as PGM/PPM where the name ends in .pgm or .ppm.
void write_image(const std::filesystem::path& path, const Tensor& image);
/// u8 [C, H, W] with `channels` channels (grey by luma weights) and the given size (bilinear; area
/// average when shrinking).
Tensor convert_image(const Tensor& image, std::int64_t channels, std::int64_t height,
                     std::int64_t width);

}  // namespace evenkeel::io
