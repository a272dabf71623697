// Which implementation runs.
#pragma once

#include <evenkeel/core/dtype.h>

#include <string>
#include <vector>

namespace evenkeel::norm {

/// The implementations that this processor can run, best first: "avx512", "avx2", "sse4", "ssse3"
/// or other architectures' names, and last "reference".
std::vector<std::string> available_isas();
/// The one that f32 and bf16 activations use: the best, or what EVENKEEL_ISA or force_isa() asked for.
/// f64 always runs the reference.
std::string chosen_isa();
/// Chooses for the whole process; "" returns to the environment's choice or the best. Throws
/// UsageError naming the available ones.
void force_isa(const std::string& name);

}  // namespace evenkeel::norm
