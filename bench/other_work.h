// Whether the machine was quiet.
#pragma once

#include <span>

#include <sys/types.h>

namespace evenkeel::bench {

/// How busy the machine is with other work, from the construction on.
class OtherWork {
 public:
  OtherWork();
  /// The part of all processors' time that went to processes other than this one and `workers`,
  /// which still run; negative where the system does not say.
  double part(std::span<const pid_t> workers) const;
  /// Figures of a busier machine than this say little: threads wait for those that have no
  /// processor.
  static constexpr double kTolerable = 0.05;

 private:
  double begin_seconds_, begin_busy_, begin_own_;
};
}  // namespace evenkeel::bench
