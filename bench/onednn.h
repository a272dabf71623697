// oneDNN's primitives as candidates. Compiled against the oneDNN that evenkeel uses, and a second
// time, for the program evenkeel_bench_onednn, against another one (DNNL_ROOT).
#pragma once

#include <string>
#include <vector>

#include "candidate.h"
#include "problem.h"

namespace evenkeel::bench {

/// "2.6.3", of the library that runs.
std::string onednn_version();

/// Batch norm in nchw, nhwc and, for channels first, nChw16c (its blocked format, to which a
/// network of oneDNN's converts its tensors once); layer norm; group and instance norm where the
/// version has a group normalization (3.3 and later). Empty where there is none. `problem` outlives
/// them.
///
/// The ReLU is fused into batch norm; a sum, and the ReLU behind it, are passes of their own.
///
/// They save mean and variance as evenkeel does but keep no running statistics: a little less work.
std::vector<Candidate> onednn_candidates(const Problem& problem, const Work& work);

}  // namespace evenkeel::bench
