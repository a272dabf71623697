#include <array>

#include "lab/experiment.h"
#include "lab/experiments/rows.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/options.h>

namespace evenkeel::lab {

std::span<const Experiment> experiments() {
  static const std::array table{
      convergence(),
      covariate_shift(),
      learning_rate(),
      initialization(),
      depth(),
      regularization(),
      batch_size(),
      train_or_eval(),
      landscape(),
      identity(),
      placement(),
      dropout_order(),
      sequences(),
      cost(),
      hyper_parameters(),
      relatives(),
  };
  return table;
}

const Experiment& find_experiment(const std::string& name) {
  std::vector<std::string> names;
  for (const Experiment& experiment : experiments()) {
    if (experiment.name == name) return experiment;
    names.push_back(experiment.name);
  }
  const auto near = nearest(name, names);
  fail<UsageError>("[lab] there is no experiment '{}'{}; `evenkeel lab list` shows all", name,
                   near ? fmt::format(", did you mean '{}'?", *near) : std::string());
}

}  // namespace evenkeel::lab
