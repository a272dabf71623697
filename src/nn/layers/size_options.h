// Sizes in one to three dimensions as options, and as the operators take them.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/core/options.h>
#include <evenkeel/core/shape.h>
#include <evenkeel/nn/layers/sizes.h>
#include <evenkeel/ops/spatial.h>

namespace evenkeel::nn {

/// One integer for one dimension or equal sizes, else a list of the first `spatial_rank`.
OptionValue size_value(int spatial_rank, const ops::Spatial& sizes);

/// The option as `count` numbers: given as one integer, or as a list where there are several.
/// Throws UsageError naming `where` for a list of another length.
std::vector<std::int64_t> read_sizes(const Options& options, const std::string& key,
                                     std::span<const std::int64_t> fallback,
                                     std::string_view where);
/// Throws UsageError naming `where` if the option is missing.
void require_sizes(const Options& options, const std::string& key, int spatial_rank,
                   std::string_view where);

/// [outer, inner, kernel...], of a convolution's weight.
Shape weight_shape(std::int64_t outer, std::int64_t inner, int spatial_rank,
                   const ops::Spatial& kernel);

template <int Rank>
Sizes<Rank> get_sizes(const Options& options, const std::string& key, const Sizes<Rank>& fallback,
                      std::string_view where) {
  Sizes<Rank> result = fallback;
  std::ranges::copy(read_sizes(options, key, fallback.values, where), result.values.begin());
  return result;
}

/// The same for an option that must be there.
template <int Rank>
Sizes<Rank> get_required_sizes(const Options& options, const std::string& key,
                               std::string_view where) {
  require_sizes(options, key, Rank, where);
  return get_sizes<Rank>(options, key, 0, where);
}

/// As the operators take them; `rest` where there is no dimension.
template <int Rank>
ops::Spatial spatial_of(const Sizes<Rank>& sizes, std::int64_t rest) {
  ops::Spatial result;
  result.fill(rest);
  std::ranges::copy(sizes.values, result.begin());
  return result;
}

}  // namespace evenkeel::nn
