#include "nn/layers/pair_options.h"

#include <evenkeel/core/error.h>

namespace evenkeel::nn {

OptionValue pair_value(int spatial_rank, Pair pair) {
  if (spatial_rank == 1 || pair.height == pair.width) return pair.height;
  return std::vector<std::int64_t>{pair.height, pair.width};
}

Pair get_pair(const Options& options, const std::string& key, Pair fallback,
              std::string_view where) {
  const auto list = options.get(key, std::vector<std::int64_t>{fallback.height, fallback.width});
  if (list.size() != 2) {
    fail<UsageError>("[{}] '{}' expects one integer or [height, width], got {}", where, key,
                     to_string(list));
  }
  return {list[0], list[1]};
}

Pair require_pair(const Options& options, const std::string& key, std::string_view where) {
  if (!options.contains(key)) {
    fail<UsageError>("[{}] the key '{}' is missing: give an integer or [height, width]", where,
                     key);
  }
  return get_pair(options, key, 0, where);
}

}  // namespace evenkeel::nn
