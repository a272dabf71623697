// Mutations for the run without libFuzzer.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "target.h"

namespace evenkeel::fuzz {

/// The same mutations for the same seed, on every machine.
class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  /// A few edits of `bytes`, half of them inside of what is packed or with checksums that fit.
  std::string mutate(const Target& target, const std::string& bytes);

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_()) % bound; }
  void edit(std::string& bytes);
  void put_number(std::string& bytes);

  std::mt19937 random_;
};

}  // namespace evenkeel::fuzz
