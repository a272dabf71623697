#include <evenkeel/core/memory.h>
#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace evenkeel {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// Rounds up to a size class: eight classes to a power of two, so at most 1/8 is wasted and buffers
/// of nearly the same size share their pages.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= 8 * kAlignment) return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

class Cache {
 public:
  std::byte* take(std::size_t bytes) {
    std::function<bool(std::size_t)> hook;
    {
      const std::scoped_lock lock(mutex_);
      hook = hook_;
    }
    if (hook && !hook(bytes)) throw std::bad_alloc();
    const std::scoped_lock lock(mutex_);
    auto& free_list = free_[bytes];
    std::byte* pointer = nullptr;
    if (!free_list.empty()) {
      pointer = free_list.back();
      free_list.pop_back();
    } else {
      pointer = request(bytes);
    }
    stats_.current += bytes;
    stats_.peak = std::max(stats_.peak, stats_.current);
    return pointer;
  }

  void give(std::byte* pointer, std::size_t bytes) noexcept {
    const std::scoped_lock lock(mutex_);
    stats_.current -= bytes;
    try {
      free_[bytes].push_back(pointer);
    } catch (const std::bad_alloc&) {
      std::free(pointer);
      stats_.reserved -= bytes;
    }
  }

  void release() {
    const std::scoped_lock lock(mutex_);
    release_locked();
  }

  MemoryStats stats() {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    const std::scoped_lock lock(mutex_);
    stats_.peak = stats_.current;
  }

  void set_hook(std::function<bool(std::size_t)> hook) {
    const std::scoped_lock lock(mutex_);
    hook_ = std::move(hook);
  }

 private:
  std::byte* request(std::size_t bytes) {
    // Large buffers begin on a huge page and ask for huge pages: the rows of one channel lie far
    // apart, and every 4 KiB page among them would cost an entry of the address cache.
    const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kAlignment;
    if (bytes > std::numeric_limits<std::size_t>::max() - kHugePage) throw std::bad_alloc();
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* pointer = std::aligned_alloc(alignment, rounded);
    if (pointer == nullptr) {
      release_locked();  // the cache may hold what is missing
      pointer = std::aligned_alloc(alignment, rounded);
      if (pointer == nullptr) throw std::bad_alloc();
    }
    if (alignment == kHugePage) (void)madvise(pointer, rounded, MADV_HUGEPAGE);
    stats_.reserved += bytes;
    ++stats_.system_requests;
    return static_cast<std::byte*>(pointer);
  }

  void release_locked() {
    for (auto& [bytes, list] : free_) {
      for (std::byte* pointer : list) {
        std::free(pointer);
        stats_.reserved -= bytes;
      }
      list.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<std::byte*>> free_;
  MemoryStats stats_;
  std::function<bool(std::size_t)> hook_;
};

/// Never destroyed: tensors of static storage may outlive any static object.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

}  // namespace

std::shared_ptr<std::byte> allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  const std::size_t rounded = size_class(bytes);
  std::byte* pointer = cache().take(rounded);
  return {pointer, [rounded](std::byte* p) noexcept { cache().give(p, rounded); }};
}

MemoryStats memory_stats() { return cache().stats(); }
void reset_peak_memory() { cache().reset_peak(); }
void release_cached_memory() { cache().release(); }
void set_allocation_hook(std::function<bool(std::size_t)> hook) {
  cache().set_hook(std::move(hook));
}

}  // namespace evenkeel
