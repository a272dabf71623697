// One function per kind of data, each in a file of its own, and what they share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <evenkeel/data/dataset.h>
#include <evenkeel/data/source.h>

namespace evenkeel::data {

/// Each takes what follows the name and its colon, and fills `train` and `test`.
Splits open_glyphs(const std::string& rest, const SourceOptions& options);
Splits open_mnist(const std::string& folder, const SourceOptions& options);
Splits open_fashion_mnist(const std::string& folder, const SourceOptions& options);
Splits open_cifar10(const std::string& folder, const SourceOptions& options);
Splits open_csv(const std::string& rest, const SourceOptions& options);
Splits open_npz(const std::string& file, const SourceOptions& options);
Splits open_sequence(const std::string& path, const SourceOptions& options);

/// Cuts `part` (of 1) from the end of a shuffle; what remains comes first. At least one sample
/// stays on either side; UsageError naming `where` if there are fewer than two.
struct Cut {
  Dataset first, last;
};
Cut cut_shuffled(const Dataset& all, double part, std::uint64_t seed, std::uint64_t stream,
                 std::string_view where);

/// Splits a data set without a test part: a fifth becomes it.
Splits split_test(const Dataset& all, const SourceOptions& options, std::string_view where);

/// UsageError naming `where` if `value` is empty; `what` is its name in the pattern, as in DIR.
void require_rest(const std::string& value, std::string_view where, std::string_view what);

/// "a, b, c"
std::string join(const std::vector<std::string>& words);

}  // namespace evenkeel::data
