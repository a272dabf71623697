// Sizes in one or two dimensions as options: one integer where both are equal, else a list of two.
#pragma once

#include <string>
#include <string_view>

#include <evenkeel/core/options.h>
#include <evenkeel/nn/layers/pair.h>

namespace evenkeel::nn {

/// One integer for one spatial dimension or equal extents, else [height, width].
OptionValue pair_value(int spatial_rank, Pair pair);

/// The option as an integer or a list of two. Throws UsageError naming `where` for a list of
/// another length.
Pair get_pair(const Options& options, const std::string& key, Pair fallback,
              std::string_view where);
/// The same for an option that must be there.
Pair require_pair(const Options& options, const std::string& key, std::string_view where);

}  // namespace evenkeel::nn
