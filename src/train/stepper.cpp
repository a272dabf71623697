#include "train/stepper.h"

#include <algorithm>
#include <cmath>

#include <evenkeel/optim/clip.h>

namespace evenkeel::train {
namespace {

/// Samples [begin, end) of a batch; a view.
data::Batch part_of(const data::Batch& batch, std::int64_t begin, std::int64_t end) {
  if (end - begin == batch.size()) return batch;
  data::Batch part;
  part.x = batch.x.slice(begin, end);
  part.labels.assign(batch.labels.begin() + begin, batch.labels.begin() + end);
  if (!batch.lengths.empty()) {
    part.lengths.assign(batch.lengths.begin() + begin, batch.lengths.begin() + end);
  }
  return part;
}

}  // namespace

Stepper::Stepper(nn::Module& network, optim::Optimizer& optimizer, double label_smoothing,
                 double clip, std::int64_t micro_batch)
    : network_(network),
      optimizer_(optimizer),
      loss_{label_smoothing},
      clip_(clip),
      micro_batch_(micro_batch),
      before_(network) {
  network.visit([this](const std::string&, nn::Module& module) {
    auto* const layer = dynamic_cast<nn::BatchNorm*>(&module);
    if (layer == nullptr) return;
    layer->set_guard(true);
    watched_.push_back({layer, layer->refused_batches()});
  });
}

StepOutcome Stepper::step(const data::Batch& batch, double lr) {
  before_.remember();
  try {
    const StepOutcome outcome = attempt(batch, lr);
    if (outcome.skipped) before_.restore();
    return outcome;
  } catch (...) {
    network_.clear_saved();
    before_.restore();
    throw;
  }
}

StepOutcome Stepper::attempt(const data::Batch& batch, double lr) {
  StepOutcome outcome;
  network_.zero_grad();
  const std::int64_t samples = batch.size();
  bool finite = true;
  for (std::int64_t begin = 0, end = 0; finite && end < samples; begin = end) {
    end = end_of_part(begin, samples);
    const double share = static_cast<double>(end - begin) / static_cast<double>(samples);
    finite = add_gradient(part_of(batch, begin, end), share, outcome);
  }
  if (const nn::BatchNorm* const layer = refusing_layer(); layer != nullptr) {
    outcome.trouble = fmt::format(
        "{} got values that are not finite and kept its running statistics", layer->label());
  }
  const auto skip = [&](const std::string& what) {
    outcome.skipped = true;
    outcome.trouble += (outcome.trouble.empty() ? "" : "; ") + what;
  };
  if (!finite) {
    network_.clear_saved();
    // Without the sign that a NaN may have, which says nothing.
    skip(fmt::format("the loss is {}", std::isnan(outcome.loss) ? "nan"
                                       : outcome.loss > 0       ? "inf"
                                                                : "-inf"));
    return outcome;
  }
  const double norm =
      clip_ > 0 ? optim::clip_gradients(network_, clip_) : optim::gradient_norm(network_);
  if (!std::isfinite(norm)) {
    skip("the gradient is not finite");
    return outcome;
  }
  optimizer_.step(lr);
  return outcome;
}

std::int64_t Stepper::end_of_part(std::int64_t begin, std::int64_t samples) const {
  const std::int64_t end = begin + micro_batch_;
  return micro_batch_ == 0 || samples - end < 2 ? samples : end;
}

const nn::BatchNorm* Stepper::too_large_for(std::int64_t samples) const {
  std::int64_t smallest = samples;
  for (std::int64_t begin = 0, end = 0; end < samples; begin = end) {
    end = end_of_part(begin, samples);
    smallest = std::min(smallest, end - begin);
  }
  for (const Watched& watched : watched_) {
    if (watched.layer->least_samples() > smallest) return watched.layer;
  }
  return nullptr;
}

/// Of one part, which is this share of its batch; false where the loss is not finite.
bool Stepper::add_gradient(const data::Batch& part, double share, StepOutcome& outcome) {
  const nn::LengthsScope lengths(network_, nn::Lengths(part.lengths));
  const Tensor logits = network_.forward(part.x);
  nn::LossResult loss = loss_(logits.to(DType::f32), part.labels);
  outcome.loss += share * loss.value;
  outcome.correct += nn::count_correct(logits, part.labels);
  if (!std::isfinite(loss.value)) return false;
  if (share != 1) {
    for (float& value : loss.gradient.span<float>()) value *= static_cast<float>(share);
  }
  network_.backward(loss.gradient.to(logits.dtype()));
  return true;
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
