#include <array>

#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>
#include <evenkeel/optim/table.h>

namespace evenkeel::optim {
namespace {

const std::array<OptimizerRow, 2> kOptimizers{{
    {"sgd", "stochastic gradient descent with momentum",
     [](std::vector<ParameterGroup> groups, const OptimizerOptions& options) {
       return std::unique_ptr<Optimizer>(std::make_unique<Sgd>(std::move(groups), options.sgd));
     }},
    {"adamw", "Adam with decoupled weight decay",
     [](std::vector<ParameterGroup> groups, const OptimizerOptions& options) {
       return std::unique_ptr<Optimizer>(std::make_unique<AdamW>(std::move(groups), options.adamw));
     }},
}};

}  // namespace

std::span<const OptimizerRow> optimizers() { return kOptimizers; }

std::unique_ptr<Optimizer> make_optimizer(const std::string& name,
                                          std::vector<ParameterGroup> groups,
                                          const OptimizerOptions& options) {
  std::vector<std::string> names;
  for (const OptimizerRow& row : kOptimizers) {
    if (row.name == name) return row.make(std::move(groups), options);
    names.push_back(row.name);
  }
  const std::string hint = did_you_mean(name, names);
  if (!hint.empty()) fail<UsageError>("[optimizer] unknown optimizer '{}'{}", name, hint);
  fail<UsageError>("[optimizer] unknown optimizer '{}'; there are {}", name,
                   fmt::format("{} and {}", names[0], names[1]));
}

}  // namespace evenkeel::optim
