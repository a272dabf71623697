#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "io/atomic_writer.h"
#include "io/bytes.h"
#include "io/image_formats.h"
#include <evenkeel/io/image.h>

namespace evenkeel::io {
namespace {

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return extension;
}

void check_image(const Tensor& image, std::string_view where) {
  const bool fits = image.defined() && image.dtype() == DType::u8 && image.rank() == 3 &&
                    (image.dim(0) == 1 || image.dim(0) == 3) && image.numel() > 0;
  if (!fits) {
    fail<ShapeError>("[{}] expected an image u8 [1 or 3, H, W] with H, W ≥ 1, got {} {}", where,
                     name_of(image.dtype()), image.shape().str());
  }
  const auto height = static_cast<std::uint64_t>(image.dim(1));
  const auto width = static_cast<std::uint64_t>(image.dim(2));
  if (height > kMaxSide || width > kMaxSide || height > kMaxPixels / width) {
    fail<ShapeError>("[{}] expected at most {} pixels and {} rows and columns, got {}", where,
                     kMaxPixels, kMaxSide, image.shape().str());
  }
}

/// One output position along an axis: weights of the inputs from `first` on.
struct Tap {
  std::int64_t first = 0;
  std::vector<float> weights;
};

Tap area_tap(std::int64_t in, std::int64_t out, std::int64_t i) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double begin = static_cast<double>(i) * scale;
  const double end = std::min(begin + scale, static_cast<double>(in));
  Tap tap;
  tap.first = static_cast<std::int64_t>(begin);
  for (std::int64_t k = tap.first; static_cast<double>(k) < end && k < in; ++k) {
    const double covered =
        std::min(end, static_cast<double>(k + 1)) - std::max(begin, static_cast<double>(k));
    tap.weights.push_back(static_cast<float>(covered / scale));
  }
  return tap;
}

/// Pixels lie at the centres of their cells; beyond the outermost centres the edge continues.
Tap linear_tap(std::int64_t in, std::int64_t out, std::int64_t i) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double centre = (static_cast<double>(i) + 0.5) * scale - 0.5;
  const double position = std::clamp(centre, 0.0, static_cast<double>(in - 1));
  Tap tap;
  tap.first = std::min(static_cast<std::int64_t>(position), std::max<std::int64_t>(in - 2, 0));
  const auto upper = static_cast<float>(position - static_cast<double>(tap.first));
  tap.weights = {1 - upper};
  if (in > 1) tap.weights.push_back(upper);
  return tap;
}

std::vector<Tap> make_taps(std::int64_t in, std::int64_t out) {
  std::vector<Tap> taps;
  taps.reserve(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) {
    taps.push_back(out < in ? area_tap(in, out, i) : linear_tap(in, out, i));
  }
  return taps;
}

/// Resizes [H, W] in `plane` to taps: along the width first, row by row, as the rows are needed.
class Resizer {
 public:
  Resizer(std::int64_t height, std::int64_t width, std::int64_t out_height, std::int64_t out_width)
      : width_(width),
        rows_(make_taps(height, out_height)),
        columns_(make_taps(width, out_width)),
        narrow_(columns_.size() * static_cast<std::size_t>(height)),
        sums_(columns_.size()) {}

  void run(std::span<const float> plane, std::uint8_t* out) {
    const std::size_t wide = columns_.size();
    for (std::size_t y = 0; y < narrow_.size() / wide; ++y) {
      const float* row = plane.data() + y * static_cast<std::size_t>(width_);
      for (std::size_t x = 0; x < wide; ++x) {
        float sum = 0;
        const float* in = row + columns_[x].first;
        for (const float weight : columns_[x].weights) sum += weight * *in++;
        narrow_[y * wide + x] = sum;
      }
    }
    for (const Tap& tap : rows_) {
      std::ranges::fill(sums_, 0.0f);
      const float* in = narrow_.data() + static_cast<std::size_t>(tap.first) * wide;
      for (const float weight : tap.weights) {
        for (float& sum : sums_) sum += weight * *in++;
      }
      for (const float sum : sums_) {
        *out++ = static_cast<std::uint8_t>(std::clamp(std::floor(sum + 0.5f), 0.0f, 255.0f));
      }
    }
  }

 private:
  std::int64_t width_;
  std::vector<Tap> rows_;
  std::vector<Tap> columns_;
  std::vector<float> narrow_;
  std::vector<float> sums_;
};

/// Plane `channel` of the converted image as floats.
void fill_plane(const Tensor& image, std::int64_t channels, std::int64_t channel,
                std::vector<float>& plane) {
  const std::uint8_t* in = image.data<std::uint8_t>();
  const std::size_t size = plane.size();
  if (image.dim(0) == 3 && channels == 1) {
    for (std::size_t i = 0; i < size; ++i) {  // luma of ITU-R BT.601
      plane[i] = 0.299f * static_cast<float>(in[i]) + 0.587f * static_cast<float>(in[size + i]) +
                 0.114f * static_cast<float>(in[2 * size + i]);
    }
    return;
  }
  if (image.dim(0) == 3) in += static_cast<std::size_t>(channel) * size;
  std::copy(in, in + size, plane.begin());
}

}  // namespace

std::uint64_t count_pixels(const ImageSize& size, const Origin& origin) {
  if (size.height == 0 || size.width == 0) {
    origin.refuse("expected at least one pixel, got {} rows of {}", size.height, size.width);
  }
  if (size.height > kMaxSide || size.width > kMaxSide) {
    origin.refuse("expected at most {} rows and columns, got {} rows of {}", kMaxSide, size.height,
                  size.width);
  }
  if (size.height > kMaxPixels / size.width) {
    origin.refuse("expected at most {} pixels, got {} rows of {}", kMaxPixels, size.height,
                  size.width);
  }
  return size.height * size.width;
}

Tensor allocate_image(const ImageSize& size, std::uint64_t least, std::uint64_t stored,
                      const Origin& origin) {
  if (least > stored) {
    origin.refuse(
        "expected at least {} bytes for {} rows of {} pixels, got {}; the file is cut short", least,
        size.height, size.width, stored);
  }
  const Shape shape{static_cast<std::int64_t>(size.channels),
                    static_cast<std::int64_t>(size.height), static_cast<std::int64_t>(size.width)};
  return allocate_tensor(shape, DType::u8, origin);
}

void from_interleaved(const std::uint8_t* pixels, Tensor& image) {
  const std::int64_t channels = image.dim(0);
  const std::int64_t size = image.dim(1) * image.dim(2);
  std::uint8_t* out = image.data<std::uint8_t>();
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < size; ++i) *out++ = pixels[i * channels + c];
  }
}

std::string to_interleaved(const Tensor& image) {
  const std::int64_t channels = image.dim(0);
  const std::int64_t size = image.dim(1) * image.dim(2);
  const std::uint8_t* in = image.data<std::uint8_t>();
  std::string out(static_cast<std::size_t>(image.numel()), '\0');
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < size; ++i) {
      out[static_cast<std::size_t>(i * channels + c)] = static_cast<char>(*in++);
    }
  }
  return out;
}

Tensor read_image(const std::filesystem::path& path) {
  const InputFile file(path, Origin("image", path));
  std::array<std::byte, 2> magic{};
  if (file.size() >= magic.size()) file.read_at(0, magic);
  try {
    if (magic[0] == std::byte{0x89} && magic[1] == std::byte{'P'}) return read_png(file);
    if (magic[0] == std::byte{'P'}) return read_pnm(file);
  } catch (const std::bad_alloc&) {
    file.origin().refuse("not enough memory for the image");
  }
  file.origin().refuse("expected a PNG, PGM or PPM image, got something else; convert it to PNG");
}

void write_image(const std::filesystem::path& path, const Tensor& image) {
  check_image(image, "write_image");
  const Tensor first = image.to(Layout::channels_first);
  const std::string extension = lower_extension(path);
  if (extension != ".pgm" && extension != ".ppm") {
    AtomicWriter writer(path);
    writer.write(encode_png(first, Origin("image", path)));
    return writer.commit();
  }
  const std::int64_t channels = extension == ".pgm" ? 1 : 3;
  if (image.dim(0) != channels) {
    fail<ShapeError>("[write_image] expected {} channels for a {} file, got {}; use convert_image",
                     channels, extension, image.shape().str());
  }
  AtomicWriter writer(path);
  writer.write(encode_pnm(first));
  writer.commit();
}

Tensor convert_image(const Tensor& image, std::int64_t channels, std::int64_t height,
                     std::int64_t width) {
  check_image(image, "convert_image");
  const bool fits = (channels == 1 || channels == 3) && height > 0 && width > 0 &&
                    height <= static_cast<std::int64_t>(kMaxPixels) / width;
  if (!fits) {
    fail<ShapeError>(
        "[convert_image] expected 1 or 3 channels and at most {} pixels, got [{}, {}, {}]",
        kMaxPixels, channels, height, width);
  }
  const Tensor first = image.to(Layout::channels_first);
  Tensor result = Tensor::empty({channels, height, width}, DType::u8);
  std::vector<float> plane(static_cast<std::size_t>(image.dim(1) * image.dim(2)));
  Resizer resizer(image.dim(1), image.dim(2), height, width);
  for (std::int64_t c = 0; c < channels; ++c) {
    fill_plane(first, channels, c, plane);
    resizer.run(plane, result.data<std::uint8_t>() + c * height * width);
  }
  return result;
}

}  // namespace evenkeel::io
