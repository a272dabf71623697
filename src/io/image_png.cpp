#include <algorithm>
#include <array>
#include <csetjmp>
#include <memory>

#include <png.h>

#include "io/image_formats.h"

namespace evenkeel::io {
namespace {

/// What libpng's callbacks see. Faults are kept as text: neither exceptions nor jumps may pass
/// through the other's frames, so every call below that can jump is in a function of its own
/// without objects that have destructors.
struct PngState {
  const InputFile* file = nullptr;
  std::uint64_t position = 0;
  std::array<char, 200> fault{};
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_uint_32 width = 0;
  png_uint_32 height = 0;
  png_uint_32 channels = 0;
  std::uint64_t stored_bits = 0;  // of one pixel
  int passes = 1;
  std::size_t row_bytes = 0;
};

void keep_fault(PngState& state, const char* message) {
  const std::string_view text(message);
  const std::size_t count = std::min(text.size(), state.fault.size() - 1);
  std::copy_n(text.data(), count, state.fault.data());
  state.fault[count] = '\0';
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  keep_fault(*static_cast<PngState*>(png_get_error_ptr(png)), message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

bool read_into(PngState& state, png_bytep out, std::size_t count) {
  if (count > state.file->size() - state.position) {
    keep_fault(state, "the file is cut short");
    return false;
  }
  try {
    state.file->read_at(state.position, {reinterpret_cast<std::byte*>(out), count});
  } catch (const Error&) {
    keep_fault(state, "the file cannot be read");
    return false;
  }
  state.position += count;
  return true;
}

void on_read(png_structp png, png_bytep out, std::size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (!read_into(*state, out, count)) png_longjmp(png, 1);
}

/// Reads everything before the pixels and asks for 8-bit grey or RGB. False leaves state.fault set.
bool begin(PngState& state) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  png_set_read_fn(state.png, &state, on_read);
  // Any size passes here; what is refused, is refused with the numbers in the message.
  png_set_user_limits(state.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_malloc_max(state.png, png_alloc_size_t{1} << 20);
  png_set_chunk_cache_max(state.png, 64);
  png_set_keep_unknown_chunks(state.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(state.png, state.info);
  state.width = png_get_image_width(state.png, state.info);
  state.height = png_get_image_height(state.png, state.info);
  const bool colour = (png_get_color_type(state.png, state.info) & PNG_COLOR_MASK_COLOR) != 0;
  state.channels = colour ? 3 : 1;
  state.stored_bits = std::uint64_t{png_get_bit_depth(state.png, state.info)} *
                      png_get_channels(state.png, state.info);
  return true;
}

bool start_pixels(PngState& state) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  png_set_expand(state.png);
  png_set_strip_16(state.png);
  png_set_strip_alpha(state.png);
  state.passes = png_set_interlace_handling(state.png);
  png_read_update_info(state.png, state.info);
  state.row_bytes = png_get_rowbytes(state.png, state.info);
  return true;
}

/// Rows one by one, so that a claim of many rows costs no table of them.
bool read_pixels(PngState& state, png_bytep pixels) {
  if (setjmp(png_jmpbuf(state.png)) != 0) return false;
  for (int pass = 0; pass < state.passes; ++pass) {
    for (png_uint_32 y = 0; y < state.height; ++y) {
      png_read_row(state.png, pixels + y * state.row_bytes, nullptr);
    }
  }
  png_read_end(state.png, nullptr);
  return true;
}

class PngReader {
 public:
  explicit PngReader(const InputFile& file) {
    state_.file = &file;
    state_.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state_, on_error, on_warning);
    if (state_.png != nullptr) state_.info = png_create_info_struct(state_.png);
  }
  ~PngReader() { png_destroy_read_struct(&state_.png, &state_.info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Tensor read() {
    const Origin& origin = state_.file->origin();
    if (state_.info == nullptr) origin.refuse("not enough memory for the image");
    check(begin(state_));
    const ImageSize size{state_.channels, state_.height, state_.width};
    constexpr std::uint64_t kMaxRatio = 1032;  // deflate's densest code: 258 bytes from two bits
    const std::uint64_t least = count_pixels(size, origin) * state_.stored_bits / 8 / kMaxRatio;
    Tensor image = allocate_image(size, least, state_.file->size(), origin);
    check(start_pixels(state_));
    const std::size_t row = std::size_t{state_.width} * state_.channels;
    if (state_.row_bytes != row) {
      origin.refuse("expected rows of {} bytes, got {}", row, state_.row_bytes);
    }
    const auto pixels = std::make_unique_for_overwrite<png_byte[]>(row * state_.height);
    check(read_pixels(state_, pixels.get()));
    from_interleaved(pixels.get(), image);
    return image;
  }

 private:
  void check(bool ok) const {
    if (!ok) {
      state_.file->origin().refuse("expected a PNG image, got a damaged one: {}",
                                   quote(std::string_view(state_.fault.data())));
    }
  }

  PngState state_;
};

}  // namespace

Tensor read_png(const InputFile& file) { return PngReader(file).read(); }

std::string encode_png(const Tensor& image, const Origin& origin) {
  png_image description{};
  description.version = PNG_IMAGE_VERSION;
  description.format = image.dim(0) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  description.height = static_cast<png_uint_32>(image.dim(1));
  description.width = static_cast<png_uint_32>(image.dim(2));
  const std::string pixels = to_interleaved(image);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(description);
  std::string out(size, '\0');
  if (png_image_write_to_memory(&description, out.data(), &size, 0, pixels.data(), 0, nullptr) ==
      0) {
    origin.refuse("cannot encode {} as PNG: {}", image.shape().str(),
                  quote(std::string_view(description.message)));
  }
  out.resize(size);
  return out;
}

}  // namespace evenkeel::io
