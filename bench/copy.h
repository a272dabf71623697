// The limit: how fast this machine copies memory at this moment.
#pragma once

#include <cstddef>
#include <vector>

#include "candidate.h"
#include <evenkeel/core/tensor.h>

namespace evenkeel::bench {

/// Copies of `from` to `to` (as many bytes) with so many threads: with ordinary stores, and with
/// non-temporal ones where the processor has them. Both tensors outlive the candidates.
std::vector<Candidate> copy_candidates(const Tensor& from, Tensor& to, int threads);

}  // namespace evenkeel::bench
