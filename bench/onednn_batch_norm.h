// See onednn.h.
#pragma once

#include <memory>

#include "onednn_work.h"

namespace evenkeel::bench {

enum class Format : std::uint8_t { nchw, nhwc, nChw16c };

std::shared_ptr<OnednnWork> onednn_batch_norm(const Problem& problem, const Work& work,
                                              Format format);

}  // namespace evenkeel::bench
