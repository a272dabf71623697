// The order in which the dimensions of [N, C, spatial...] lie in memory.
#pragma once

#include <cstdint>
#include <string_view>

namespace evenkeel {

/// Shapes are always written [N, C, spatial...]; the layout says how the elements lie in memory:
/// channels_first as written (NCHW), channels_last with C innermost (NHWC).
enum class Layout : std::uint8_t { channels_first, channels_last };

constexpr std::string_view name_of(Layout layout) {
  return layout == Layout::channels_first ? "channels_first" : "channels_last";
}

}  // namespace evenkeel
