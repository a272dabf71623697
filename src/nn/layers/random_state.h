// A random stream's place as a buffer, so that a resumed run goes on with the numbers it would have
// had.
#pragma once

#include <bit>
#include <cstdint>

#include <evenkeel/core/random.h>
#include <evenkeel/core/tensor.h>

namespace evenkeel::nn {

/// state: i64 [3], seed, stream and position.
inline void store_random(const Random& random, Tensor& state) {
  const auto values = state.span<std::int64_t>();
  values[0] = std::bit_cast<std::int64_t>(random.seed());
  values[1] = std::bit_cast<std::int64_t>(random.stream());
  values[2] = std::bit_cast<std::int64_t>(random.position());
}

inline Random load_random(const Tensor& state) {
  const auto values = state.span<std::int64_t>();
  Random random(std::bit_cast<std::uint64_t>(values[0]), std::bit_cast<std::uint64_t>(values[1]));
  random.set_position(std::bit_cast<std::uint64_t>(values[2]));
  return random;
}

}  // namespace evenkeel::nn
