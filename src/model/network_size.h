// How large a network would be, known before memory is taken for it.
#pragma once

#include <cstdint>

#include <evenkeel/model/network.h>

namespace evenkeel::model {

/// The network holds at least so many values: its weights and, in a layer list, what batch norms
/// keep. A number that does not fit counts as the largest one; what the layers refuse counts as
/// nothing.
std::uint64_t least_values(const NetworkOptions& options);

/// Throws UsageError for a network that is larger than anyone means.
void check_size(const NetworkOptions& options);

}  // namespace evenkeel::model
