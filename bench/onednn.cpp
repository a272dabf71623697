#include "onednn.h"

#include <fmt/format.h>

#include "onednn_batch_norm.h"
#include "onednn_memory.h"

namespace evenkeel::bench {
namespace {

void add(std::vector<Candidate>& candidates, const std::shared_ptr<OnednnWork>& own,
         const Work& work, Layout layout, std::string how) {
  if (own == nullptr) return;
  Candidate candidate;
  candidate.who = "oneDNN";
  candidate.version = onednn_version();
  candidate.how = std::move(how);
  candidate.layout = layout;
  candidate.note = own->implementation();
  const auto prepare = [threads = work.threads] { omp_set_num_threads(threads); };
  candidate.seconds = timed(prepare, [own] { own->run(); });
  candidate.read = [own, prepare](const Expected& expected) {
    prepare();
    return own->read(expected);
  };
  candidates.push_back(std::move(candidate));
}

}  // namespace

std::string onednn_version() {
  const dnnl_version_t* const version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

std::vector<Candidate> onednn_candidates(const Problem& problem, const Work& work) {
  omp_set_num_threads(work.threads);  // primitives are made for a number of threads
  constexpr Layout kFirst = Layout::channels_first, kLast = Layout::channels_last;
  std::vector<Candidate> candidates;
  switch (work.family) {
    case Family::batch_norm:
      add(candidates, onednn_batch_norm(problem, work, Format::nchw), work, kFirst, "nchw");
      add(candidates, onednn_batch_norm(problem, work, Format::nChw16c), work, kFirst, "nChw16c");
      add(candidates, onednn_batch_norm(problem, work, Format::nhwc), work, kLast, "nhwc");
      break;
    case Family::layer_norm:
      add(candidates, onednn_layer_norm(problem, work), work, kFirst, "rows");
      break;
    case Family::group_norm:
    case Family::instance_norm:
      add(candidates, onednn_group_norm(problem, work, kFirst), work, kFirst, "nchw");
      add(candidates, onednn_group_norm(problem, work, kLast), work, kLast, "nhwc");
      break;
  }
  return candidates;
}

}  // namespace evenkeel::bench
