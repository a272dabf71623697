// evenkeel's own kernels as candidates.
#pragma once

#include <vector>

#include "candidate.h"
#include "problem.h"

namespace evenkeel::bench {

/// One per layout (layer norm: one). `problem` outlives them.
std::vector<Candidate> own_candidates(const Problem& problem, const Work& work);

/// The version and the kernels that run, "0.1.0 avx512".
std::string own_version();

}  // namespace evenkeel::bench
