// Who is measured: one way to do one piece of work.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <evenkeel/core/layout.h>

namespace evenkeel::bench {

/// Places whose values are compared before anything is timed, and what belongs there.
struct Expected {
  std::vector<std::int64_t> places;       ///< element numbers, counted channels first
  std::vector<double> output, magnitude;  ///< y or dx; the size of what it is a sum of
  std::vector<double> sum_gradient;       ///< of the added branch, where there is one
  std::vector<std::int64_t> parameters;   ///< numbers of channels (γ, β, statistics)
  std::vector<double> dgamma, dgamma_magnitude, dbeta, dbeta_magnitude;
  std::vector<double> mean, var;  ///< of batch norm in training
};

/// What a candidate computed there; empty where it computes no such thing.
struct Actual {
  std::vector<double> output, sum_gradient, dgamma, dbeta, mean, var;
};

struct Candidate {
  std::string who;      ///< "evenkeel", "oneDNN", "PyTorch"
  std::string version;  ///< of it
  std::string how;      ///< the format or the implementation: "channels first", "nChw16c"
  Layout layout = Layout::channels_first;
  std::string note;  ///< what it does more or less than the others, or ""
  /// Seconds per call: `repeats` times the mean of `calls` calls in a row.
  std::function<std::vector<double>(std::int64_t calls, int repeats)> seconds;
  /// What the latest call computed. Empty where results are checked in another way.
  std::function<Actual(const Expected&)> read;

  std::string name() const { return who + " " + how; }
  /// With the version where that tells peers apart.
  std::string title() const { return who == "evenkeel" ? name() : who + " " + version + " " + how; }
};

/// Times calls in this process; `prepare` (the number of threads) is not counted.
inline std::function<std::vector<double>(std::int64_t, int)> timed(std::function<void()> prepare,
                                                                   std::function<void()> call) {
  return [prepare = std::move(prepare), call = std::move(call)](std::int64_t calls, int repeats) {
    prepare();
    std::vector<double> seconds;
    for (int r = 0; r < repeats; ++r) {
      const auto begin = std::chrono::steady_clock::now();
      for (std::int64_t i = 0; i < calls; ++i) call();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      seconds.push_back(taken.count() / static_cast<double>(calls));
    }
    return seconds;
  };
}

}  // namespace evenkeel::bench
