#include "own.h"

#include <memory>

#include <fmt/format.h>

#include "own_work.h"
#include <evenkeel/norm/isa.h>

namespace evenkeel::bench {

std::string own_version() { return fmt::format("{} {}", EVENKEEL_VERSION, norm::chosen_isa()); }

std::vector<Candidate> own_candidates(const Problem& problem, const Work& work) {
  std::vector<Layout> layouts{Layout::channels_first};
  if (work.family != Family::layer_norm) layouts.push_back(Layout::channels_last);
  std::vector<Candidate> candidates;
  for (const Layout layout : layouts) {
    const std::shared_ptr<OwnWork> own = work.family == Family::batch_norm
                                             ? own_batch_norm(problem, work, layout)
                                             : own_rows(problem, work, layout);
    Candidate candidate;
    candidate.who = "evenkeel";
    candidate.version = own_version();
    candidate.how = layout == Layout::channels_first ? "channels first" : "channels last";
    if (work.family == Family::layer_norm) candidate.how = "rows";
    candidate.layout = layout;
    candidate.seconds =
        timed([threads = work.threads] { set_max_threads(threads); }, [own] { own->run(); });
    candidate.read = [own, threads = work.threads](const Expected& expected) {
      set_max_threads(threads);
      return own->read(expected);
    };
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

}  // namespace evenkeel::bench
