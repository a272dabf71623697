// Where signals are handled.
#pragma once

namespace evenkeel::app {

/// Lets a thread that does nothing else take SIGINT and SIGTERM; call it before there are others.
///
/// oneDNN's matrix kernels use rsp as a general register that points into a heap buffer. A signal
/// taken there writes its frame below rsp and so over the heap.
void handle_signals_aside();

}  // namespace evenkeel::app
