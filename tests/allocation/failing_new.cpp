#include "allocation/failing_new.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include <evenkeel/core/memory.h>

namespace evenkeel::testing {
namespace {

std::atomic<std::int64_t> left{0};  // requests until one fails; at 0 or below none does
std::atomic<std::int64_t> live{0};

bool may_allocate() { return left.load() <= 0 || left.fetch_sub(1) != 1; }

void* allocate_block(std::size_t size, std::size_t alignment) noexcept {
  if (!may_allocate()) return nullptr;
  const std::size_t rounded = (size + alignment) / alignment * alignment;
  void* const block = alignment <= alignof(std::max_align_t)
                          ? std::malloc(size > 0 ? size : 1)
                          : std::aligned_alloc(alignment, rounded);
  if (block != nullptr) ++live;
  return block;
}

void* require_block(std::size_t size, std::size_t alignment) {
  void* const block = allocate_block(size, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void free_block(void* block) noexcept {
  if (block != nullptr) --live;
  std::free(block);
}

}  // namespace

FailingAllocation::FailingAllocation(std::int64_t nth) {
  set_allocation_hook([](std::size_t) { return may_allocate(); });
  left = nth;
}

FailingAllocation::~FailingAllocation() {
  left = 0;
  set_allocation_hook({});
}

bool FailingAllocation::failed() const { return left.load() <= 0; }

std::int64_t live_blocks() { return live.load(); }

}  // namespace evenkeel::testing

/// oneDNN leaks what it has of a kernel whose making breaks off; read by LeakSanitizer alone.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libdnnl\n"; }

using evenkeel::testing::allocate_block;
using evenkeel::testing::free_block;
using evenkeel::testing::require_block;

void* operator new(std::size_t size) { return require_block(size, 1); }
void* operator new[](std::size_t size) { return require_block(size, 1); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate_block(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate_block(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return require_block(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return require_block(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { free_block(block); }
void operator delete[](void* block) noexcept { free_block(block); }
void operator delete(void* block, std::size_t) noexcept { free_block(block); }
void operator delete[](void* block, std::size_t) noexcept { free_block(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { free_block(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { free_block(block); }
void operator delete(void* block, std::align_val_t) noexcept { free_block(block); }
void operator delete[](void* block, std::align_val_t) noexcept { free_block(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { free_block(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { free_block(block); }
