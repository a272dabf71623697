// A caching allocator: a step that repeats the sizes of the step before asks the system for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace evenkeel {

/// Alignment of every buffer in bytes: one cache line, one AVX-512 vector.
inline constexpr std::size_t kAlignment = 64;

struct MemoryStats {
  std::size_t current = 0;            ///< bytes handed out and not given back
  std::size_t peak = 0;               ///< largest `current` since the last reset_peak_memory()
  std::size_t reserved = 0;           ///< bytes held from the system, handed out or cached
  std::uint64_t system_requests = 0;  ///< how often the system was asked for memory
};

/// `bytes` bytes, uninitialized, aligned to kAlignment. Given back to the cache with the last owner.
/// Throws std::bad_alloc. Zero bytes give a null pointer.
std::shared_ptr<std::byte> allocate(std::size_t bytes);

MemoryStats memory_stats();
/// Sets the peak to the current use.
void reset_peak_memory();
/// Gives cached, unused buffers back to the system.
void release_cached_memory();

/// Called with the size before every allocate(); returning false makes it throw std::bad_alloc.
/// For tests of what a failed allocation leaves behind. An empty function removes the hook.
void set_allocation_hook(std::function<bool(std::size_t)> hook);

}  // namespace evenkeel
