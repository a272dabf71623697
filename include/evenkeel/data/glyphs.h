// The built-in data set: grey 28×28 digits drawn from strokes.
#pragma once

#include <cstdint>

#include <evenkeel/data/dataset.h>

namespace evenkeel::data {

/// `count` digits with random affine, elastic and stroke distortion and noise. Sample i is a
/// function of (seed, i) alone. The generator is frozen: the same arguments give the same bytes for
/// good.
Dataset make_glyphs(std::int64_t count, std::uint64_t seed);

}  // namespace evenkeel::data
