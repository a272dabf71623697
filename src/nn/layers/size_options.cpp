#include "nn/layers/size_options.h"

#include <evenkeel/core/error.h>

namespace evenkeel::nn {
namespace {

/// What a list of sizes holds.
std::string_view list_pattern(std::size_t count) {
  return count == 2 ? "[height, width]" : "[depth, height, width]";
}

}  // namespace

OptionValue size_value(int spatial_rank, const ops::Spatial& sizes) {
  const std::span<const std::int64_t> used(sizes.data(), static_cast<std::size_t>(spatial_rank));
  if (std::ranges::count(used, used[0]) == spatial_rank) return used[0];
  return std::vector<std::int64_t>(used.begin(), used.end());
}

Shape weight_shape(std::int64_t outer, std::int64_t inner, int spatial_rank,
                   const ops::Spatial& kernel) {
  std::vector<std::int64_t> dims{outer, inner};
  dims.insert(dims.end(), kernel.begin(), kernel.begin() + spatial_rank);
  return Shape(dims);
}

std::vector<std::int64_t> read_sizes(const Options& options, const std::string& key,
                                     std::span<const std::int64_t> fallback,
                                     std::string_view where) {
  if (fallback.size() == 1) return {options.get(key, fallback[0])};
  auto list = options.get(key, std::vector<std::int64_t>(fallback.begin(), fallback.end()));
  if (list.size() != fallback.size()) {
    fail<UsageError>("[{}] '{}' expects one integer or {}, got {}", where, key,
                     list_pattern(fallback.size()), to_string(list));
  }
  return list;
}

void require_sizes(const Options& options, const std::string& key, int spatial_rank,
                   std::string_view where) {
  if (spatial_rank == 1) {
    (void)options.require_int(key, where);
  } else if (!options.contains(key)) {
    fail<UsageError>("[{}] the key '{}' is missing: give an integer or {}", where, key,
                     list_pattern(static_cast<std::size_t>(spatial_rank)));
  }
}

}  // namespace evenkeel::nn
