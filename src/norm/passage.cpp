#include "norm/passage.h"

#include <hwy/cache_control.h>
#include <unistd.h>

namespace evenkeel::norm {
namespace {

constexpr std::int64_t kUsual = std::int64_t{1} << 20;

}  // namespace

std::int64_t second_level_cache() {
  static const std::int64_t bytes = [] {
#ifdef _SC_LEVEL2_CACHE_SIZE
    const std::int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return found > 0 ? found : kUsual;
#else
    return kUsual;
#endif
  }();
  return bytes;
}

bool streams(std::int64_t bytes, const void* out, std::initializer_list<const void*> inputs) {
  const auto read = std::ranges::count_if(inputs, [](const void* p) { return p != nullptr; });
  const std::int64_t caches = std::max(max_threads() * second_level_cache(), std::int64_t{2} << 20);
  return bytes * (read + 1) > caches && std::ranges::find(inputs, out) == inputs.end();
}

void flush_streams() { hwy::FlushStream(); }

}  // namespace evenkeel::norm
