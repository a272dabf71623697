#include "deploy/onnx/tensor.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <span>

#include "io/source.h"
#include "onnx.pb.h"

namespace evenkeel::deploy {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "raw data is little-endian");

float from_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1Fu;
  const std::uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 0xFFu : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Bytes of one element in raw data.
std::uint64_t stored_size(OnnxType type) {
  switch (type) {
    case OnnxType::float64:
    case OnnxType::int64:
    case OnnxType::uint64:
      return 8;
    case OnnxType::float32:
    case OnnxType::int32:
    case OnnxType::uint32:
      return 4;
    case OnnxType::float16:
    case OnnxType::bfloat16:
    case OnnxType::int16:
    case OnnxType::uint16:
      return 2;
    default:
      return 1;
  }
}

template <class From, class To, class Convert>
void convert(std::span<const std::byte> raw, To* out, Convert&& one) {
  for (std::size_t i = 0; i < raw.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, raw.data() + i * sizeof(From), sizeof(From));
    out[i] = one(value);
  }
}

std::int64_t narrowed(std::uint64_t value, const io::Origin& origin) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    origin.refuse("the value {} does not fit 64 bits with a sign", value);
  }
  return static_cast<std::int64_t>(value);
}

/// The elements as they lie in a file.
void read_raw(std::span<const std::byte> raw, OnnxType type, Tensor& out,
              const io::Origin& origin) {
  const auto widen = [](auto value) { return static_cast<std::int32_t>(value); };
  switch (type) {
    case OnnxType::float16:
      return convert<std::uint16_t>(raw, out.data<float>(), from_half);
    case OnnxType::bfloat16:
      return convert<std::uint16_t>(raw, out.data<float>(), from_bf16);
    case OnnxType::int8:
      return convert<std::int8_t>(raw, out.data<std::int32_t>(), widen);
    case OnnxType::int16:
      return convert<std::int16_t>(raw, out.data<std::int32_t>(), widen);
    case OnnxType::uint16:
      return convert<std::uint16_t>(raw, out.data<std::int32_t>(), widen);
    case OnnxType::uint32:
      return convert<std::uint32_t>(raw, out.data<std::int64_t>(),
                                    [](std::uint32_t v) { return std::int64_t{v}; });
    case OnnxType::uint64:
      return convert<std::uint64_t>(raw, out.data<std::int64_t>(),
                                    [&](std::uint64_t v) { return narrowed(v, origin); });
    default:
      if (!raw.empty()) std::memcpy(out.raw(), raw.data(), raw.size());
  }
}

template <class To, class List, class Convert>
void copy_list(const List& list, Tensor& out, const io::Origin& origin, Convert&& one) {
  if (std::cmp_not_equal(list.size(), out.numel())) {
    origin.refuse("expected {} elements of shape {}, got {}", out.numel(), out.shape().str(),
                  list.size());
  }
  To* to = out.data<To>();
  for (const auto value : list) *to++ = one(value);
}

/// The elements in the field for their type.
void read_lists(const proto::Tensor& message, OnnxType type, Tensor& out,
                const io::Origin& origin) {
  const auto& small = message.int32_data();
  switch (type) {
    case OnnxType::float32:
      return copy_list<float>(message.float_data(), out, origin, [](float v) { return v; });
    case OnnxType::float64:
      return copy_list<double>(message.double_data(), out, origin, [](double v) { return v; });
    case OnnxType::int64:
      return copy_list<std::int64_t>(message.int64_data(), out, origin,
                                     [](std::int64_t v) { return v; });
    case OnnxType::uint32:
    case OnnxType::uint64:
      return copy_list<std::int64_t>(message.uint64_data(), out, origin,
                                     [&](std::uint64_t v) { return narrowed(v, origin); });
    case OnnxType::float16:
      return copy_list<float>(small, out, origin, [](std::int32_t v) {
        return from_half(static_cast<std::uint16_t>(v));
      });
    case OnnxType::bfloat16:
      return copy_list<float>(small, out, origin, [](std::int32_t v) {
        return from_bf16(static_cast<std::uint16_t>(v));
      });
    case OnnxType::boolean:
    case OnnxType::uint8:
      return copy_list<std::uint8_t>(small, out, origin,
                                     [](std::int32_t v) { return static_cast<std::uint8_t>(v); });
    default:
      return copy_list<std::int32_t>(small, out, origin, [](std::int32_t v) { return v; });
  }
}

struct External {
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

std::uint64_t number_of(std::string_view key, std::string_view text, const io::Origin& origin) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) {
    origin.refuse("the {} of its external data is not a number of bytes: {}", key, io::quote(text));
  }
  return value;
}

External external_of(const proto::Tensor& message, const io::Origin& origin) {
  External external;
  for (const proto::StringPair& entry : message.external_data()) {
    if (entry.key() == "location") external.location = entry.value();
    if (entry.key() == "offset") external.offset = number_of("offset", entry.value(), origin);
    if (entry.key() == "length") external.length = number_of("length", entry.value(), origin);
  }
  if (external.location.empty() || external.location.find('\0') != std::string::npos) {
    origin.refuse("its external data has no location");
  }
  return external;
}

/// The file itself, links and ".." resolved, which must lie in the model's folder or below.
fs::path inside(const fs::path& folder, const std::string& location, const io::Origin& origin) {
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  const fs::path file = error ? fs::path() : fs::canonical(root / location, error);
  if (error) {
    origin.refuse("its external data {} cannot be found: {}", io::quote(location), error.message());
  }
  const auto [end, at] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
  if (end != root.end() || fs::path(location).is_absolute()) {
    origin.refuse("its external data {} lies outside the model's folder; put it beside the model",
                  io::quote(location));
  }
  return file;
}

std::vector<std::byte> read_external(const proto::Tensor& message, std::uint64_t bytes,
                                     const fs::path& folder, const io::Origin& origin) {
  const External external = external_of(message, origin);
  const io::InputFile file(inside(folder, external.location, origin), origin);
  if (external.length && *external.length != bytes) {
    origin.refuse("expected {} bytes of external data, it says {}", bytes, *external.length);
  }
  if (external.offset > file.size() || bytes > file.size() - external.offset) {
    origin.refuse("expected {} bytes at offset {} of {}, which has {}", bytes, external.offset,
                  io::quote(external.location), file.size());
  }
  std::vector<std::byte> raw(bytes);
  file.read_at(external.offset, raw);
  return raw;
}

}  // namespace

std::string name_of(OnnxType type) {
  switch (type) {
    case OnnxType::undefined:
      return "undefined";
    case OnnxType::float32:
      return "float";
    case OnnxType::uint8:
      return "uint8";
    case OnnxType::int8:
      return "int8";
    case OnnxType::uint16:
      return "uint16";
    case OnnxType::int16:
      return "int16";
    case OnnxType::int32:
      return "int32";
    case OnnxType::int64:
      return "int64";
    case OnnxType::string:
      return "string";
    case OnnxType::boolean:
      return "bool";
    case OnnxType::float16:
      return "float16";
    case OnnxType::float64:
      return "double";
    case OnnxType::uint32:
      return "uint32";
    case OnnxType::uint64:
      return "uint64";
    case OnnxType::bfloat16:
      return "bfloat16";
  }
  return fmt::format("number {}", static_cast<std::int32_t>(type));
}

std::optional<DType> held_as(OnnxType type) {
  switch (type) {
    case OnnxType::float32:
    case OnnxType::float16:
    case OnnxType::bfloat16:
      return DType::f32;
    case OnnxType::float64:
      return DType::f64;
    case OnnxType::int64:
    case OnnxType::uint32:
    case OnnxType::uint64:
      return DType::i64;
    case OnnxType::int32:
    case OnnxType::int8:
    case OnnxType::int16:
    case OnnxType::uint16:
      return DType::i32;
    case OnnxType::uint8:
    case OnnxType::boolean:
      return DType::u8;
    default:
      return std::nullopt;
  }
}

Tensor take_tensor(proto::Tensor& message, const fs::path& folder, const io::Origin& origin) {
  const auto type = static_cast<OnnxType>(message.data_type());
  const std::optional<DType> dtype = held_as(type);
  if (!dtype) origin.refuse("elements of type {} are not supported", name_of(type));
  std::vector<std::uint64_t> dims;
  for (const std::int64_t dim : message.dims()) {
    if (dim < 0) origin.refuse("it has a negative extent, {}", dim);
    dims.push_back(static_cast<std::uint64_t>(dim));
  }
  const io::FileShape shape = io::checked_shape(dims, stored_size(type), size_of(*dtype), origin);
  constexpr std::int32_t kExternal = 1;
  std::vector<std::byte> loaded;
  const bool external = message.data_location() == kExternal;
  if (external) loaded = read_external(message, shape.bytes, folder, origin);
  const bool raw = external || message.has_raw_data();
  const std::span<const std::byte> bytes =
      external ? std::span<const std::byte>(loaded)
               : std::as_bytes(std::span(message.raw_data().data(), message.raw_data().size()));
  if (raw && bytes.size() != shape.bytes) {
    origin.refuse("expected {} bytes for shape {}, got {}", shape.bytes, shape.shape.str(),
                  bytes.size());
  }
  // What the message holds bounds what is asked for.
  const auto count = static_cast<std::uint64_t>(shape.shape.numel());
  const auto listed = static_cast<std::uint64_t>(
      message.float_data_size() + message.double_data_size() + message.int32_data_size() +
      message.int64_data_size() + message.uint64_data_size());
  if (!raw && listed != count) {
    origin.refuse("expected {} elements of shape {}, got {}", count, shape.shape.str(), listed);
  }
  Tensor result = io::allocate_tensor(shape.shape, *dtype, origin);
  if (raw) {
    read_raw(bytes, type, result, origin);
  } else {
    read_lists(message, type, result, origin);
  }
  message.Clear();
  return result;
}

}  // namespace evenkeel::deploy
