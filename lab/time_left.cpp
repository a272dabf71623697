#include "lab/time_left.h"

#include <algorithm>

namespace evenkeel::lab {
namespace {

/// Of an experiment's cost, from 0 to 1.
struct Shares {
  double done = 0, known = 0;

  explicit Shares(const CellProgress& progress) {
    if (progress.expected <= 0) return;
    done = std::min(progress.done / progress.expected, 1.0);
    known = std::min(progress.known / progress.expected, done);
  }
  double measured() const { return done - known; }
};

constexpr double kTelling = 0.05;  // so much of what there is to measure tells the pace

}  // namespace

TimeLeft::TimeLeft(const std::vector<const Experiment*>& chosen, Budget budget,
                   const std::vector<std::string>& finished)
    : later_(chosen.size()) {
  for (const Experiment* one : chosen) {
    nominal_.push_back(budget == Budget::full ? one->full_seconds : one->quick_seconds);
  }
  double later = 0;
  for (std::size_t i = chosen.size(); i-- > 0;) {
    later_[i] = later;
    if (std::ranges::find(finished, chosen[i]->name) == finished.end()) later += nominal_[i];
  }
}

void TimeLeft::begin(std::size_t number, double now) {
  number_ = number;
  started_ = now;
}

void TimeLeft::end(const CellProgress& progress, double now) {
  const double measured = Shares(progress).measured();
  if (measured <= 0) return;
  spent_ += now - started_;
  passed_ += measured * nominal_[number_];
}

double TimeLeft::left(const CellProgress& progress, double now) const {
  const Shares shares(progress);
  const double nominal = nominal_[number_];
  const double before = passed_ > 0 ? spent_ / passed_ : 1;
  const bool telling = shares.measured() > kTelling * (1 - shares.known);
  const double here = telling ? (now - started_) / (shares.measured() * nominal) : before;
  return (1 - shares.done) * nominal * here + later_[number_] * (passed_ > 0 ? before : here);
}

}  // namespace evenkeel::lab
