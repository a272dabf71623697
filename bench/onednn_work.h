// One piece of work by oneDNN, with all the memory it needs.
#pragma once

#include <memory>
#include <string>

#include "problem.h"

namespace evenkeel::bench {

class OnednnWork {
 public:
  virtual ~OnednnWork() = default;
  virtual void run() = 0;
  virtual Actual read(const Expected& expected) = 0;
  virtual std::string implementation() const = 0;

 protected:
  OnednnWork() = default;
  OnednnWork(const OnednnWork&) = delete;
  OnednnWork& operator=(const OnednnWork&) = delete;
};

std::shared_ptr<OnednnWork> onednn_layer_norm(const Problem& problem, const Work& work);
/// Null where this version has none.
std::shared_ptr<OnednnWork> onednn_group_norm(const Problem& problem, const Work& work,
                                              Layout layout);

}  // namespace evenkeel::bench
