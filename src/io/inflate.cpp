#include <algorithm>
#include <array>
#include <limits>

#include <zlib.h>

#include "io/source.h"

namespace evenkeel::io {
namespace {

// Deflate's densest code is 258 bytes from two bits.
constexpr std::uint64_t kMaxRatio = 1032;
constexpr std::size_t kChunk = 64 * 1024;

}  // namespace

struct InflateSource::Impl {
  Source& compressed;
  Format format;
  Origin origin;
  z_stream stream{};
  std::array<std::byte, kChunk> buffer{};
  bool finished = false;

  Impl(Source& source, Format kind, Origin place)
      : compressed(source), format(kind), origin(std::move(place)) {
    const int window = kind == Format::gzip ? MAX_WBITS + 16 : -MAX_WBITS;
    if (inflateInit2(&stream, window) != Z_OK) origin.refuse("not enough memory to inflate");
  }
  ~Impl() { inflateEnd(&stream); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Whether there is input left, after fetching some if there was none at hand.
  bool fetch() {
    if (stream.avail_in != 0) return true;
    const std::size_t count = compressed.read(buffer);
    stream.next_in = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_in = static_cast<uInt>(count);
    return count != 0;
  }

  void end_of_member() {
    if (!fetch()) {
      finished = true;
    } else if (format == Format::gzip && *stream.next_in == 0x1F) {
      inflateReset(&stream);
    } else {
      origin.refuse("expected the end after the compressed data, got more bytes");
    }
  }

  void step() {
    if (!fetch()) origin.refuse("the compressed data is cut short");
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      end_of_member();
    } else if (result == Z_MEM_ERROR) {
      origin.refuse("not enough memory to inflate");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      origin.refuse("the compressed data is damaged ({})",
                    stream.msg != nullptr ? stream.msg : "unexpected dictionary");
    }
  }
};

InflateSource::InflateSource(Source& compressed, Format format, Origin origin)
    : impl_(std::make_unique<Impl>(compressed, format, std::move(origin))) {}

InflateSource::~InflateSource() = default;

std::size_t InflateSource::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size() && !impl_->finished) {
    const std::size_t wanted =
        std::min<std::size_t>(out.size() - done, std::numeric_limits<uInt>::max());
    impl_->stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    impl_->stream.avail_out = static_cast<uInt>(wanted);
    impl_->step();
    done += wanted - impl_->stream.avail_out;
  }
  return done;
}

std::uint64_t InflateSource::at_most() const {
  if (impl_->finished) return 0;
  // A window of output may still be held inside zlib beside the input at hand.
  const std::uint64_t input = impl_->compressed.at_most() + impl_->stream.avail_in;
  const std::uint64_t held = kMaxRatio * 8;
  if (input > (std::numeric_limits<std::uint64_t>::max() - held) / kMaxRatio) {
    return std::numeric_limits<std::uint64_t>::max();
  }
  return input * kMaxRatio + held;
}

}  // namespace evenkeel::io
