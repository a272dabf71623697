#include "mutator.h"

#include <algorithm>
#include <array>

#include "support.h"

namespace evenkeel::fuzz {
namespace {

constexpr std::size_t kLargest = 1 << 16;  // no mutation makes a file larger

/// What lengths and extents lie about.
constexpr std::array<std::uint64_t, 9> kNumbers = {
    0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF};

}  // namespace

void Mutator::put_number(std::string& bytes) {
  const std::uint64_t value = kNumbers[below(kNumbers.size())];
  std::string number;
  switch (below(3)) {
    case 0:
      number = little(value, 1 << below(4));
      break;
    case 1:
      number = big(value, 1 << below(4));
      break;
    default:
      number = std::to_string(value);
  }
  const std::size_t at = below(bytes.size());
  bytes.replace(at, std::min(number.size(), bytes.size() - at), number);
}

void Mutator::edit(std::string& bytes) {
  if (bytes.empty()) bytes.push_back(static_cast<char>(random_()));
  const std::size_t at = below(bytes.size());
  switch (below(7)) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
      break;
    case 1:
      bytes[at] = static_cast<char>(random_());
      break;
    case 2:
      bytes.erase(at, 1 + below(16));
      break;
    case 3:
      bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(64)));
      break;
    case 4:
      bytes.insert(at, 1 + below(8), static_cast<char>(random_()));
      break;
    case 5:
      bytes.resize(at);
      break;
    default:
      put_number(bytes);
  }
}

std::string Mutator::mutate(const Target& target, const std::string& bytes) {
  std::string result = bytes;
  std::optional<std::string> inside;
  if (target.unpack != nullptr && below(2) == 0) inside = target.unpack(bytes);
  std::string& edited = inside ? *inside : result;
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) edit(edited);
  if (edited.size() > std::max(kLargest, bytes.size())) edited.resize(kLargest);
  if (inside) result = target.pack(*inside);
  if (target.repair != nullptr && below(2) == 0) target.repair(result);
  return result;
}

}  // namespace evenkeel::fuzz
