#include "onnx_file.h"

#include <cstring>
#include <functional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <evenkeel/io/file.h>

namespace evenkeel::conformance {
namespace {

/// One field of a protocol buffer message.
struct Field {
  std::uint64_t number = 0;
  std::uint64_t integer = 0;  // of a varint, or the bits of a fixed one
  std::string_view bytes;     // of a string or message
};

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest.empty()) throw std::runtime_error("a message ends inside a number");
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  throw std::runtime_error("a number is too long");
}

std::string_view take(std::string_view& rest, std::uint64_t count) {
  if (count > rest.size()) throw std::runtime_error("a message ends inside a field");
  const std::string_view taken = rest.substr(0, count);
  rest.remove_prefix(count);
  return taken;
}

void for_each_field(std::string_view message, const std::function<void(const Field&)>& f) {
  while (!message.empty()) {
    const std::uint64_t key = take_varint(message);
    Field field{key >> 3, 0, {}};
    switch (key & 7) {
      case 0:
        field.integer = take_varint(message);
        break;
      case 1:
        field.bytes = take(message, 8);
        std::memcpy(&field.integer, field.bytes.data(), 8);
        break;
      case 2:
        field.bytes = take(message, take_varint(message));
        break;
      case 5:
        field.bytes = take(message, 4);
        std::memcpy(&field.integer, field.bytes.data(), 4);
        break;
      default:
        throw std::runtime_error("a field has an unknown type");
    }
    f(field);
  }
}

std::string_view only_message(std::string_view message, std::uint64_t number) {
  std::string_view found;
  for_each_field(message, [&](const Field& field) {
    if (field.number != number) return;
    if (found.data() != nullptr) throw std::runtime_error("expected one message of a kind");
    found = field.bytes;
  });
  return found;
}

std::string text_of(const std::filesystem::path& path) {
  const std::vector<std::byte> content = io::read_file(path);
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

void read_attribute(std::string_view message, OnnxNode& node) {
  std::string name;
  double value = 0;
  bool number = false;
  for_each_field(message, [&](const Field& field) {
    if (field.number == 1) name = field.bytes;
    if (field.number == 2) {  // f
      const auto bits = static_cast<std::uint32_t>(field.integer);
      float real = 0;
      std::memcpy(&real, &bits, sizeof(real));
      value = static_cast<double>(real);
      number = true;
    }
    if (field.number == 3) {  // i
      value = static_cast<double>(static_cast<std::int64_t>(field.integer));
      number = true;
    }
  });
  if (number) node.attributes[name] = value;
}

}  // namespace

Tensor read_onnx_tensor(const std::filesystem::path& path) {
  constexpr std::uint64_t kFloat = 1;
  const std::string content = text_of(path);
  std::vector<std::int64_t> dims;
  std::uint64_t type = 0;
  std::vector<float> values;
  const auto append = [&](std::string_view bytes) {
    values.resize(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  };
  for_each_field(content, [&](const Field& field) {
    if (field.number == 1 && field.bytes.data() == nullptr) {
      dims.push_back(static_cast<std::int64_t>(field.integer));
    } else if (field.number == 1) {  // packed
      for (std::string_view rest = field.bytes; !rest.empty();) {
        dims.push_back(static_cast<std::int64_t>(take_varint(rest)));
      }
    }
    if (field.number == 2) type = field.integer;
    if (field.number == 4 || field.number == 9) append(field.bytes);  // float_data, raw_data
  });
  if (type != kFloat) throw std::runtime_error(path.string() + ": expected f32 values");
  return Tensor::from(std::span<const float>(values), Shape(std::span<const std::int64_t>(dims)));
}

OnnxNode read_onnx_node(const std::filesystem::path& path) {
  const std::string content = text_of(path);
  const std::string_view graph = only_message(content, 7);
  OnnxNode node;
  for_each_field(only_message(graph, 1), [&](const Field& field) {
    if (field.number == 4) node.type = field.bytes;
    if (field.number == 5) read_attribute(field.bytes, node);
  });
  return node;
}

}  // namespace evenkeel::conformance
