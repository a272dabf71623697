// TensorBoard event files as their readers see them: TFRecord framing, protocol buffers.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <evenkeel/io/checksum.h>

namespace evenkeel::testing {

/// A small reader of protocol buffers: field number to raw values.
struct Message {
  std::multimap<std::uint64_t, std::string> fields;

  static std::uint64_t varint(std::string_view& in) {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      if (in.empty() || shift > 63) throw std::runtime_error("bad varint");
      const auto byte = static_cast<unsigned char>(in.front());
      in.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
  }
  explicit Message(std::string_view in) {
    while (!in.empty()) {
      const std::uint64_t key = varint(in);
      std::string value;
      std::size_t size = 0;
      switch (key & 7) {
        case 0:
          value = std::to_string(static_cast<std::int64_t>(varint(in)));
          break;
        case 1:
          size = 8;
          break;
        case 2:
          size = varint(in);
          break;
        case 5:
          size = 4;
          break;
        default:
          throw std::runtime_error("bad wire type");
      }
      if (size > in.size()) throw std::runtime_error("bad length");
      value += in.substr(0, size);
      in.remove_prefix(size);
      fields.emplace(key >> 3, value);
    }
  }
  const std::string& one(std::uint64_t number) const {
    if (fields.count(number) != 1) throw std::runtime_error("expected one field");
    return fields.find(number)->second;
  }
  template <class T>
  T number(std::uint64_t field) const {
    T value;
    std::memcpy(&value, one(field).data(), sizeof(T));
    return value;
  }
  std::vector<double> doubles(std::uint64_t field) const {
    std::vector<double> values(one(field).size() / 8);
    std::memcpy(values.data(), one(field).data(), values.size() * 8);
    return values;
  }
};

inline std::uint32_t masked(std::string_view data) {
  const std::uint32_t crc = io::crc32c(std::as_bytes(std::span(data.data(), data.size())));
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/// The records of a TFRecord file, every checksum verified.
inline std::vector<std::string> records(std::string_view in) {
  std::vector<std::string> result;
  while (!in.empty()) {
    std::uint64_t length = 0;
    std::uint32_t length_crc = 0;
    std::uint32_t data_crc = 0;
    if (in.size() < 16) throw std::runtime_error("cut record");
    std::memcpy(&length, in.data(), 8);
    std::memcpy(&length_crc, in.data() + 8, 4);
    EXPECT_EQ(length_crc, masked(in.substr(0, 8)));
    if (length > in.size() - 16) throw std::runtime_error("cut record");
    result.emplace_back(in.substr(12, length));
    std::memcpy(&data_crc, in.data() + 12 + length, 4);
    EXPECT_EQ(data_crc, masked(result.back()));
    in.remove_prefix(16 + length);
  }
  return result;
}

struct Scalar {
  std::int64_t step;
  float value;
  bool operator==(const Scalar&) const = default;
};

/// The scalars of an event file by tag, in the file's order.
inline std::map<std::string, std::vector<Scalar>> scalars(std::string_view in) {
  std::map<std::string, std::vector<Scalar>> found;
  for (const std::string& record : records(in)) {
    const Message event(record);
    if (event.fields.count(5) == 0) continue;
    const Message value(Message(event.one(5)).one(1));
    if (value.fields.count(2) == 0) continue;
    const std::int64_t step = event.fields.count(2) == 0 ? 0 : std::stoll(event.one(2));
    found[value.one(1)].push_back({step, value.number<float>(2)});
  }
  return found;
}

}  // namespace evenkeel::testing
