#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "io/image_formats.h"

namespace evenkeel::io {
namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The text of the file after the magic: blanks, comments and numbers.
class PnmText {
 public:
  PnmText(std::string_view text, const Origin& origin) : rest_(text), origin_(origin) {}

  std::uint32_t number(std::string_view what) {
    skip_blanks();
    std::uint32_t value = 0;
    const auto [stop, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{}) {
      origin_.refuse("expected a number as {}, got {}", what, quote(rest_.substr(0, 12)));
    }
    rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()));
    return value;
  }
  /// What follows after the one blank that ends the header.
  std::string_view raster() {
    if (rest_.empty() || !is_blank(rest_.front())) {
      origin_.refuse("expected a blank before the pixels, got {}", quote(rest_.substr(0, 4)));
    }
    return rest_.substr(1);
  }
  std::size_t left() const { return rest_.size(); }
  bool at_end() {
    skip_blanks();
    return rest_.empty();
  }

 private:
  void skip_blanks() {
    while (!rest_.empty()) {
      if (rest_.front() == '#') {
        const auto end = rest_.find('\n');
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
      } else if (is_blank(rest_.front())) {
        rest_.remove_prefix(1);
      } else {
        return;
      }
    }
  }

  std::string_view rest_;
  const Origin& origin_;
};

/// Brings samples of 0..maximum to 0..255; of 16 bits the upper 8 are kept, as for PNG.
std::uint8_t scale(std::uint32_t value, std::uint32_t maximum, const Origin& origin) {
  if (value > maximum) origin.refuse("expected samples of at most {}, got {}", maximum, value);
  if (maximum == 255) return static_cast<std::uint8_t>(value);
  if (maximum == 65535) return static_cast<std::uint8_t>(value >> 8);
  return static_cast<std::uint8_t>((value * 255 + maximum / 2) / maximum);
}

void read_binary(std::string_view raster, std::uint32_t maximum, std::vector<std::uint8_t>& pixels,
                 const Origin& origin) {
  const std::size_t width = maximum > 255 ? 2 : 1;
  const std::size_t wanted = pixels.size() * width;
  if (raster.size() < wanted) {
    origin.refuse("expected {} bytes of pixels, got {}; the file is cut short", wanted,
                  raster.size());
  }
  const auto byte = [&](std::size_t i) {
    return std::uint32_t{static_cast<unsigned char>(raster[i])};
  };
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::uint32_t value = width == 1 ? byte(i) : byte(2 * i) << 8 | byte(2 * i + 1);
    pixels[i] = scale(value, maximum, origin);
  }
  if (!std::ranges::all_of(raster.substr(wanted), is_blank)) {
    origin.refuse("expected {} bytes of pixels, got {}", wanted, raster.size());
  }
}

void read_plain(PnmText& text, std::uint32_t maximum, std::vector<std::uint8_t>& pixels,
                const Origin& origin) {
  for (std::uint8_t& pixel : pixels) pixel = scale(text.number("sample"), maximum, origin);
  if (!text.at_end()) origin.refuse("expected {} samples, got more", pixels.size());
}

}  // namespace

Tensor read_pnm(const InputFile& file) {
  const Origin& origin = file.origin();
  constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 30;  // 64 megapixels in any sensible form
  if (file.size() > kMaxFile) {
    origin.refuse("expected at most {} bytes, got {}", kMaxFile, file.size());
  }
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span<char>(content)));
  const char kind = content.size() > 1 ? content[1] : '\0';
  if (kind != '2' && kind != '3' && kind != '5' && kind != '6') {
    origin.refuse("expected a PGM or PPM image (P2, P3, P5 or P6), got {}",
                  quote(content.substr(0, 2)));
  }
  PnmText text(std::string_view(content).substr(2), origin);
  const std::uint32_t width = text.number("width");
  const std::uint32_t height = text.number("height");
  const std::uint32_t maximum = text.number("largest sample");
  if (maximum < 1 || maximum > 65535) {
    origin.refuse("expected a largest sample of 1 to 65535, got {}", maximum);
  }
  const bool binary = kind == '5' || kind == '6';
  const ImageSize size{kind == '3' || kind == '6' ? 3u : 1u, height, width};
  const std::uint64_t samples = count_pixels(size, origin) * size.channels;
  // A sample of a plain file is a digit and the blank before it.
  const std::uint64_t least = samples * (binary && maximum <= 255 ? 1 : 2);
  Tensor image = allocate_image(size, least, text.left(), origin);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(image.numel()));
  if (binary) {
    read_binary(text.raster(), maximum, pixels, origin);
  } else {
    read_plain(text, maximum, pixels, origin);
  }
  from_interleaved(pixels.data(), image);
  return image;
}

std::string encode_pnm(const Tensor& image) {
  return fmt::format("P{}\n{} {}\n255\n", image.dim(0) == 1 ? 5 : 6, image.dim(2), image.dim(1)) +
         to_interleaved(image);
}

}  // namespace evenkeel::io
