// The momentum of running statistics as options: momentum, or decay, what the other convention calls
// 1 − momentum, or cumulative for the plain average of all batches.
#pragma once

#include <optional>

#include <evenkeel/core/options.h>

namespace evenkeel::nn {

inline std::optional<double> get_momentum(const Options& options, std::optional<double> fallback) {
  std::optional<double> momentum = fallback;
  if (options.contains("momentum")) momentum = options.get("momentum", 0.1);
  if (options.contains("decay")) momentum = 1 - options.get("decay", 0.9);
  if (options.get("cumulative", false)) momentum.reset();
  return momentum;
}

inline void put_momentum(std::optional<double> momentum, Options& options) {
  if (momentum) {
    options.set("momentum", *momentum);
  } else {
    options.set("cumulative", true);
  }
}

}  // namespace evenkeel::nn
