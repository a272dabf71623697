// The JSON header of safetensors files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/source.h"
#include <evenkeel/io/safetensors.h>

namespace evenkeel::io {

/// Of a tensor's name in bytes: names come back in messages and are compared with one another.
inline constexpr std::size_t kMaxTensorName = 1024;

/// What the header says about one tensor, checked for form but not against anything else.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;  ///< begin and end in the data behind the header
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of the header
  std::map<std::string, std::string> metadata;
};

/// Refuses what is not JSON, not of the format's form, nested deeper than it, or named twice.
/// Reads `json` piece by piece and stops at the first fault, so that what a hostile header is too
/// long for is never held.
SafetensorsHeader parse_safetensors_header(Source& json, const Origin& origin);

/// The header as text, padded with spaces so that the data begins at a multiple of 8 bytes.
std::string make_safetensors_header(const SafetensorsHeader& header, const Origin& origin);

}  // namespace evenkeel::io
