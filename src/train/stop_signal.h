// SIGINT and SIGTERM as a flag that the training loop reads between steps.
#pragma once

#include <thread>

#include <signal.h>

namespace evenkeel::train {

/// While one lives, the first SIGINT or SIGTERM only sets the flag; a second one kills as usual. A
/// signal that the process ignores stays ignored. Handlers are those of before when the last one
/// goes.
///
/// The thread that makes it, and those begun while it lives, leave these signals to a thread that
/// does nothing else. oneDNN's matrix kernels use rsp as a general register that points into a heap
/// buffer: a signal taken there would write its frame below rsp and so over the heap.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that came, or 0.
  static int received();

 private:
  sigset_t mask_before_{};
  int pipe_[2] = {-1, -1};  // closed when the thread shall end
  std::thread aside_;
};

}  // namespace evenkeel::train
