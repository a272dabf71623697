#include "train/stepper.h"

#include <cmath>

#include <evenkeel/optim/clip.h>

namespace evenkeel::train {

Stepper::Stepper(nn::Module& network, optim::Optimizer& optimizer, double label_smoothing,
                 double clip)
    : network_(network), optimizer_(optimizer), loss_{label_smoothing}, clip_(clip) {
  network.visit([this](const std::string&, nn::Module& module) {
    auto* const layer = dynamic_cast<nn::BatchNorm*>(&module);
    if (layer == nullptr) return;
    layer->set_guard(true);
    watched_.push_back({layer, layer->refused_batches()});
  });
}

StepOutcome Stepper::step(const data::Batch& batch, double lr) {
  StepOutcome outcome;
  network_.zero_grad();
  const Tensor logits = network_.forward(batch.x);
  const nn::LossResult loss = loss_(logits, batch.labels);
  outcome.loss = loss.value;
  outcome.correct = nn::count_correct(logits, batch.labels);
  if (const nn::BatchNorm* const layer = refusing_layer(); layer != nullptr) {
    outcome.trouble = fmt::format(
        "{} got values that are not finite and kept its running statistics", layer->label());
  }
  const auto skip = [&](const std::string& what) {
    outcome.skipped = true;
    outcome.trouble += (outcome.trouble.empty() ? "" : "; ") + what;
  };
  if (!std::isfinite(loss.value)) {
    network_.clear_saved();
    // Without the sign that a NaN may have, which says nothing.
    skip(fmt::format("the loss is {}", std::isnan(loss.value) ? "nan"
                                       : loss.value > 0       ? "inf"
                                                              : "-inf"));
    return outcome;
  }
  network_.backward(loss.gradient);
  const double norm =
      clip_ > 0 ? optim::clip_gradients(network_, clip_) : optim::gradient_norm(network_);
  if (!std::isfinite(norm)) {
    skip("the gradient is not finite");
    return outcome;
  }
  optimizer_.step(lr);
  return outcome;
}

const nn::BatchNorm* Stepper::refusing_layer() {
  const nn::BatchNorm* first = nullptr;
  for (Watched& watched : watched_) {
    const std::int64_t refused = watched.layer->refused_batches();
    if (refused != watched.refused && first == nullptr) first = watched.layer;
    watched.refused = refused;
  }
  return first;
}

}  // namespace evenkeel::train
