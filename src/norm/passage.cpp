#include "norm/passage.h"

#include <hwy/cache_control.h>
#include <unistd.h>

namespace evenkeel::norm {

std::int64_t second_level_cache() {
  static const std::int64_t bytes = [] {
    constexpr std::int64_t kUsual = std::int64_t{1} << 20;
#ifdef _SC_LEVEL2_CACHE_SIZE
    const std::int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return found > 0 ? found : kUsual;
#else
    return kUsual;
#endif
  }();
  return bytes;
}

void flush_streams() { hwy::FlushStream(); }

}  // namespace evenkeel::norm
