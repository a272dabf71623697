#include "run_scores.h"

#include <vector>

#include <evenkeel/core/error.h>
#include <evenkeel/deploy/scores.h>

namespace evenkeel::app {

Shape batch_shape(const LoadedRun& run) {
  std::vector<std::int64_t> dims{run.batch.value_or(2)};
  const Shape& sample = run.model.options.input;
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

bool expect_scores(std::string_view command, LoadedRun& run) {
  nn::Module& network = *run.model.network;
  const Shape batch = batch_shape(run);
  const Shape output = network.output_shape(batch);
  if (output.rank() != 2 || output[0] != batch[0] || output[1] < 1) {
    fail<ShapeError>(
        "[{}] the network's output {} for {} samples is not one score per class: [{}, classes]",
        command, output.str(), batch[0], batch[0]);
  }
  if (run.settings) return false;
  const deploy::Scores scores = deploy::give_logits(network, batch);
  const Shape given = network.output_shape(batch);
  if (given[1] == 1) {
    fail<ShapeError>(
        "[{}] the network has one output and no Sigmoid as its last layer: that is no score of "
        "classes; give a network with a score for each, or with the Sigmoid in it",
        command);
  }
  if (given[1] != run.model.options.classes) {
    run.model.options.classes = given[1];
    run.model.recipe.class_names.clear();
  }
  return scores == deploy::Scores::independent;
}

}  // namespace evenkeel::app
