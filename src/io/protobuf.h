// The few pieces of the protocol buffer encoding that TensorBoard's events need.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "io/bytes.h"

namespace evenkeel::io {

/// One message, built field by field in the order of the calls.
class ProtobufMessage {
 public:
  void add_int(std::uint32_t field, std::int64_t value) {
    add_key(field, 0);
    add_varint(static_cast<std::uint64_t>(value));
  }
  void add_double(std::uint32_t field, double value) {
    add_key(field, 1);
    append_le(bytes_, value);
  }
  void add_float(std::uint32_t field, float value) {
    add_key(field, 5);
    append_le(bytes_, value);
  }
  void add_bytes(std::uint32_t field, std::string_view value) {
    add_key(field, 2);
    add_varint(value.size());
    bytes_ += value;
  }
  void add_message(std::uint32_t field, const ProtobufMessage& value) {
    add_bytes(field, value.bytes_);
  }
  void add_doubles(std::uint32_t field, std::span<const double> values) {
    add_bytes(field, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void add_key(std::uint32_t field, std::uint32_t wire_type) {
    add_varint((field << 3) | wire_type);
  }
  void add_varint(std::uint64_t value) {
    while (value >= 0x80) {
      bytes_ += static_cast<char>((value & 0x7F) | 0x80);
      value >>= 7;
    }
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace evenkeel::io
