// What the table's rows of layer norm and RMS norm share.
#pragma once

#include <string_view>
#include <vector>

#include <evenkeel/nn/layer_table.h>

namespace evenkeel::nn {

std::vector<std::int64_t> list_of(const Shape& shape);
/// The key normalized_shape, an integer or a list. Throws UsageError naming `layer` where it is
/// missing or has a negative extent.
Shape require_shape(const Options& options, std::string_view layer);
/// Every variant of the options with inputs whose rows are contiguous, whole samples, and strewn in
/// a channels-last one.
std::vector<LayerSample> trailing_samples(const std::vector<Options>& variants);

}  // namespace evenkeel::nn
