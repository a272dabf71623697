// Optimizers by name: what config files and flags choose from.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <evenkeel/optim/adamw.h>
#include <evenkeel/optim/sgd.h>

namespace evenkeel::optim {

/// The options of every optimizer; each takes its own.
struct OptimizerOptions {
  SgdOptions sgd;
  AdamWOptions adamw;
};

/// One row of the table of optimizers.
struct OptimizerRow {
  std::string name;
  std::string help;  ///< one line
  std::unique_ptr<Optimizer> (*make)(std::vector<ParameterGroup>, const OptimizerOptions&);
};
std::span<const OptimizerRow> optimizers();

/// Throws UsageError for an unknown name (with the nearest one).
std::unique_ptr<Optimizer> make_optimizer(const std::string& name,
                                          std::vector<ParameterGroup> groups,
                                          const OptimizerOptions& options = {});

}  // namespace evenkeel::optim
