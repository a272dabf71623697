// SIGINT and SIGTERM as a flag that the training loop reads between steps.
#pragma once

namespace evenkeel::train {

/// While one lives, the first SIGINT or SIGTERM only sets the flag; a second one kills as usual. A
/// signal that the process ignores stays ignored. Handlers are those of before when the last one
/// goes.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that came, or 0.
  static int received();
};

}  // namespace evenkeel::train
