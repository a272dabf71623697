#include "runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace evenkeel::bench {
namespace {

constexpr int kTrialRounds = 5;
constexpr double kCheap = 0.005;  // seconds: calls that cost a turn little stay
constexpr std::int64_t kMostCalls = 100'000;
constexpr int kMostRepeats = 50;

struct Entrant {
  const Candidate* candidate;
  std::int64_t calls = 1;  // in a row, long enough for the clock
  int repeats = 1;         // of them in a turn
  bool warm_up = true;     // a call before each turn that is not counted
  bool present = true;
  int rounds = 0;
  std::vector<double> seconds = {};

  double min() const { return *std::ranges::min_element(seconds); }
};

void rest(double seconds) {
  if (seconds > 0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// How many calls make a turn.
void calibrate(Entrant& entrant, const RunnerOptions& options) {
  const auto& seconds = entrant.candidate->seconds;
  rest(options.pause);
  (void)seconds(1, 1);
  double call = seconds(1, 1).front();
  while (call * static_cast<double>(entrant.calls) < options.stretch / 2 &&
         entrant.calls < kMostCalls) {
    entrant.calls *= 4;
    call = seconds(entrant.calls, 1).front();
  }
  call = std::max(call, 1e-9);
  entrant.calls = std::clamp(static_cast<std::int64_t>(std::llround(options.stretch / call)),
                             std::int64_t{1}, kMostCalls);
  const double wanted = options.turn / (call * static_cast<double>(entrant.calls));
  entrant.repeats =
      std::clamp(static_cast<int>(std::lround(std::min(wanted, 1e6))), 1, kMostRepeats);
  entrant.warm_up = call < 4 * options.turn;  // longer ones warm up by themselves
}

void take_turn(Entrant& entrant, const RunnerOptions& options) {
  rest(options.pause);
  if (entrant.warm_up) (void)entrant.candidate->seconds(1, 1);
  for (const double seconds : entrant.candidate->seconds(entrant.calls, entrant.repeats)) {
    entrant.seconds.push_back(seconds);
  }
  ++entrant.rounds;
}

void send_off_the_slow(std::vector<Entrant>& entrants, double factor) {
  for (Entrant& entrant : entrants) {
    for (const Entrant& other : entrants) {
      if (other.candidate->layout == entrant.candidate->layout &&
          entrant.min() > std::max(kCheap, factor * other.min()) &&
          entrant.candidate->who != "copy" && other.candidate->who != "copy") {
        entrant.present = false;
      }
    }
  }
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

std::vector<Timing> run_in_turns(std::span<const Candidate> candidates,
                                 const RunnerOptions& options) {
  std::vector<Entrant> entrants;
  for (const Candidate& candidate : candidates) entrants.push_back({.candidate = &candidate});
  for (Entrant& entrant : entrants) calibrate(entrant, options);
  const int rounds = std::max(options.rounds, 1);
  for (int round = 0; round < rounds; ++round) {
    if (round == kTrialRounds && options.give_up > 0) send_off_the_slow(entrants, options.give_up);
    for (std::size_t i = 0; i < entrants.size(); ++i) {
      Entrant& entrant = entrants[(i + static_cast<std::size_t>(round)) % entrants.size()];
      if (entrant.present) take_turn(entrant, options);
    }
  }
  std::vector<Timing> timings;
  for (const Entrant& entrant : entrants) {
    timings.push_back({entrant.min(), median_of(entrant.seconds), entrant.rounds});
  }
  return timings;
}

}  // namespace evenkeel::bench
