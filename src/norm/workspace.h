// The layout of the scratch memory and of the state.
#pragma once

#include <evenkeel/core/error.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "norm/implementation.h"

namespace evenkeel::norm {

/// Hands out pieces of caller-owned memory.
class Arena {
 public:
  Arena(std::span<std::byte> memory, const char* what) : memory_(memory), what_(what) {
    if (memory.data() == nullptr && !memory.empty()) {
      fail<UsageError>("[batch_norm] expected {} bytes for the {}, got a null pointer", memory.size(),
                       what);
    }
    if (reinterpret_cast<std::uintptr_t>(memory.data()) % 8 != 0) {
      fail<UsageError>("[batch_norm] expected the {} at an address divisible by 8", what);
    }
  }

  template <class T>
  std::span<T> take(std::int64_t count) {
    const auto bytes = (static_cast<std::size_t>(count) * sizeof(T) + 7) / 8 * 8;
    if (used_ + bytes > memory_.size()) {
      fail<UsageError>("[batch_norm] the {} has {} bytes, too few; ask {}_size() for the number",
                       what_, memory_.size(), what_);
    }
    T* begin = reinterpret_cast<T*>(memory_.data() + used_);
    used_ += bytes;
    return {begin, static_cast<std::size_t>(count)};
  }

 private:
  std::span<std::byte> memory_;
  const char* what_;
  std::size_t used_ = 0;
};

/// Everything that a call needs beside its arguments.
struct Scratch {
  std::span<double> partial_a, partial_b, partial_c;  // groups × channels
  std::span<double> group_count;           // groups
  std::span<double> sum_a, sum_b;          // channels
  std::span<double> a, b;                  // channels
  std::span<float> a_hi, a_lo, b_f32;      // channels
  std::span<float> centre;                 // channels
  Coefficients coefficients;

  Scratch(const Cut& cut, std::span<std::byte> memory);
  static std::size_t size(const Cut& cut);
};

}  // namespace evenkeel::norm
