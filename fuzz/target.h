// What is fuzzed: one target per reader.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evenkeel::fuzz {

/// An input to begin with; the name says what is in it.
struct Seed {
  std::string name;
  std::string bytes;
};

struct Target {
  std::string_view reader;
  /// Reads the bytes as a file. Returns where they were read or refused; throws Violation, or lets
  /// any other exception but evenkeel::Error out, where the reader broke a promise.
  void (*read)(std::string_view bytes);
  /// Files of our own writers and hand-made ones, right and wrong. The same ones each time.
  std::vector<Seed> (*seeds)();
  /// Makes lengths and checksums fit again after a mutation, as far as there are any.
  void (*repair)(std::string& bytes) = nullptr;
  /// For compressed formats: what is inside, and back, so that mutations can reach it.
  std::optional<std::string> (*unpack)(std::string_view bytes) = nullptr;
  std::string (*pack)(std::string_view inside) = nullptr;
};

/// The table of targets, one row per reader.
std::span<const Target> targets();
/// The target of that name, or nullptr.
const Target* find_target(std::string_view reader);

}  // namespace evenkeel::fuzz
