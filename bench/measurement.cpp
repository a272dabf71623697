#include "measurement.h"

#include <algorithm>
#include <exception>

#include "copy.h"

namespace evenkeel::bench {

const Entry* Measurement::own(Layout layout) const {
  const auto found = std::ranges::find_if(entries, [&](const Entry& entry) {
    return entry.candidate.who == "evenkeel" && entry.candidate.layout == layout;
  });
  return found == entries.end() ? nullptr : &*found;
}

const Entry* Measurement::best_peer(Layout layout) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries) {
    if (entry.candidate.who == "evenkeel" || entry.candidate.layout != layout) continue;
    if (best == nullptr || entry.timing.min < best->timing.min) best = &entry;
  }
  return best;
}

double Measurement::ratio(Layout layout) const {
  const Entry *const ours = own(layout), *const theirs = best_peer(layout);
  return ours == nullptr || theirs == nullptr ? 0 : theirs->timing.min / ours->timing.min;
}

double Measurement::part_of_copy(Layout layout) const {
  const Entry* const ours = own(layout);
  if (ours == nullptr) return 0;
  return work.least_traffic() / 2 * copy.timing.min / ours->timing.min;  // a copy moves 2 tensors
}

Measurement measure(const std::string& shape, const Problem& problem, const Work& work,
                    const std::vector<Provider>& providers, const RunnerOptions& options) {
  Measurement result;
  result.shape = shape;
  result.size = problem.size();
  result.work = work;
  result.bytes = problem.bytes();

  const Expected expected = problem.expected(work);
  std::vector<Candidate> candidates;
  std::vector<double> errors;
  for (const Provider& provider : providers) {
    for (Candidate& candidate : provider(problem, work)) {
      try {
        errors.push_back(verify(candidate, expected, candidate.read(expected)));
      } catch (const std::exception& error) {
        if (candidate.who == "evenkeel") throw;
        result.refused.emplace_back(error.what());
        continue;
      }
      candidates.push_back(std::move(candidate));
    }
  }

  const std::size_t count = candidates.size();
  Tensor copy = Tensor::like(problem.x(Layout::channels_first));
  for (Candidate& candidate :
       copy_candidates(problem.x(Layout::channels_first), copy, work.threads)) {
    candidates.push_back(std::move(candidate));
  }
  const std::vector<Timing> timings = run_in_turns(candidates, options);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Entry entry{candidates[i], timings[i], i < count ? errors[i] : 0.0};
    entry.candidate.seconds = nullptr;  // lets go of its memory
    entry.candidate.read = nullptr;
    if (i < count) {
      result.entries.push_back(std::move(entry));
    } else if (result.copy.timing.min == 0 || entry.timing.min < result.copy.timing.min) {
      result.copy = std::move(entry);
    }
  }
  return result;
}

}  // namespace evenkeel::bench
