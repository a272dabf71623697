#include "repair.h"

#include "support.h"

namespace evenkeel::fuzz {

void repair_safetensors(std::string& bytes) {
  constexpr std::size_t kLengthSize = 8;
  int depth = 0;
  bool text = false;
  for (std::size_t i = kLengthSize; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (text) {
      if (c == '\\') ++i;
      if (c == '"') text = false;
    } else if (c == '"') {
      text = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth <= 0) {
      std::size_t end = i + 1;
      while (end < bytes.size() && end % kLengthSize != 0 && bytes[end] == ' ') ++end;
      bytes.replace(0, kLengthSize, little(end - kLengthSize, kLengthSize));
      return;
    }
  }
}

void repair_npy(std::string& bytes) {
  constexpr std::size_t kVersion = 6;
  constexpr std::size_t kLength = 8;
  if (bytes.size() <= kLength + 4) return;
  const int size = bytes[kVersion] == '\x01' ? 2 : 4;
  const std::size_t begin = kLength + static_cast<std::size_t>(size);
  const std::size_t end = bytes.find('\n', begin);
  if (end == std::string::npos) return;
  bytes.replace(kLength, static_cast<std::size_t>(size), little(end + 1 - begin, size));
}

}  // namespace evenkeel::fuzz
