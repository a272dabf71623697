// Per-channel arithmetic shared by the whole operations and the phases.
#pragma once

#include <evenkeel/norm/batch_norm.h>

namespace evenkeel::norm {

/// 1/√(var + eps), and 0 where both are 0: a constant channel then normalizes to 0, as in PyTorch.
double inverse_std(double var, double eps);
/// Writes mean, var and inv_std of channel c.
void finalize_channel(double count, double mean, double m2, double eps, BatchNormState& state,
                      std::size_t c);

}  // namespace evenkeel::norm
