// What oneDNN can do on this processor.
#pragma once

namespace evenkeel::ops::onednn {

/// Whether it knows bf16: from AVX-512 on.
bool has_bf16();

}  // namespace evenkeel::ops::onednn
