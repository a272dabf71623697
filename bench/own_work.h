// One piece of work by evenkeel's kernels, with all the memory it needs.
#pragma once

#include <memory>

#include "problem.h"
#include <evenkeel/core/parallel.h>

namespace evenkeel::bench {

class OwnWork {
 public:
  virtual ~OwnWork() = default;
  virtual void run() = 0;
  /// Runs once and looks at the results.
  virtual Actual read(const Expected& expected) = 0;

 protected:
  OwnWork() = default;
  OwnWork(const OwnWork&) = delete;
  OwnWork& operator=(const OwnWork&) = delete;
};

std::shared_ptr<OwnWork> own_batch_norm(const Problem& problem, const Work& work, Layout layout);
std::shared_ptr<OwnWork> own_rows(const Problem& problem, const Work& work, Layout layout);

}  // namespace evenkeel::bench
