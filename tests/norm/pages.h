// Memory between pages that may not be touched.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>

#include <sys/mman.h>
#include <unistd.h>

namespace evenkeel::testing {

/// A copy of some values that ends where a page begins that nobody may read, at whatever alignment
/// that gives. After protect() nobody may write the values either: who does so ends the program.
class Pages {
 public:
  template <class T>
  explicit Pages(std::span<const T> values) : bytes_(values.size_bytes()) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    usable_ = (bytes_ + page - 1) / page * page;
    void* const memory =
        mmap(nullptr, usable_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    begin_ = static_cast<std::byte*>(memory);
    mprotect(begin_ + usable_, page, PROT_NONE);
    if (bytes_ != 0) std::memcpy(data(), values.data(), bytes_);
    whole_ = usable_ + page;
  }
  ~Pages() { munmap(begin_, whole_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  void protect() {
    if (usable_ != 0) mprotect(begin_, usable_, PROT_READ);
  }
  std::byte* data() { return begin_ + (usable_ - bytes_); }
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data()), bytes_ / sizeof(T)};
  }
  bool same_as(const void* other) { return std::memcmp(data(), other, bytes_) == 0; }

 private:
  std::size_t bytes_;
  std::size_t usable_ = 0, whole_ = 0;
  std::byte* begin_ = nullptr;
};

}  // namespace evenkeel::testing
