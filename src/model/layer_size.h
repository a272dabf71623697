// How much a layer would hold, counted from its options alone.
#pragma once

#include <cstdint>

#include <evenkeel/model/config.h>

namespace evenkeel::model {

/// Sums and products that stay at the largest number once they reach it.
std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b);
std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b);

/// The layer, without its children, holds at least so many values, and not many times as many; 0
/// for options that it refuses. A layer with parameters has a row in the table of layer_size.cpp.
std::uint64_t least_values(const LayerSpec& layer);

}  // namespace evenkeel::model
