// Networks that take batches of one size alone, as models of other frameworks may.
#pragma once

#include <cstdint>

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// forward() in eval mode for x [n, …] with n ≤ `batch`, the only batch that the network takes: x is
/// filled up with zeros, whose outputs are left out. Throws ShapeError for a larger x.
Tensor forward_filled(Module& network, const Tensor& x, std::int64_t batch);

}  // namespace evenkeel::nn
