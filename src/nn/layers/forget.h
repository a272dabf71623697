// What a backward that breaks off leaves behind.
#pragma once

#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// Runs the part of a backward that adds to gradients. Where it breaks off inside (for want of
/// memory), what is saved is forgotten: it must not be taken back a second time.
template <class F>
auto forget_on_failure(Module& module, F&& f) {
  try {
    return f();
  } catch (...) {
    module.clear_saved();
    throw;
  }
}

}  // namespace evenkeel::nn
