// Stored elements as those of a tensor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io/bytes.h"

namespace evenkeel::io {

/// Converts `count` stored elements to the tensor's, from element `index` of it on.
using Convert = void (*)(const std::byte* from, void* to, std::size_t index, std::size_t count);

template <class Stored, class Element>
void widen(const std::byte* from, void* to, std::size_t index, std::size_t count) {
  auto* out = static_cast<Element*>(to) + index;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<Element>(load_le<Stored>(from + i * sizeof(Stored)));
  }
}

inline void widen_half(const std::byte* from, void* to, std::size_t index, std::size_t count) {
  auto* out = static_cast<float*>(to) + index;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = half_to_float(load_le<std::uint16_t>(from + 2 * i));
  }
}

}  // namespace evenkeel::io
