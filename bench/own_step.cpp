#include "own_step.h"

#include <evenkeel/core/deterministic.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/random.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/optim/groups.h>
#include <evenkeel/optim/sgd.h>

namespace evenkeel::bench {
namespace {

constexpr std::uint64_t kSeed = 1;

}  // namespace

StepData data_of(const StepCase& step) {
  std::vector<std::int64_t> dims{step.batch};
  for (const std::int64_t extent : step.sample.dims()) dims.push_back(extent);
  StepData data{Tensor::empty(Shape(dims)), {}};
  Random random(kSeed, 11);
  random.fill_normal(data.x.span<float>(), 0, 1);
  for (std::int64_t i = 0; i < step.batch; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(random.below(10)));
  }
  return data;
}

std::unique_ptr<nn::Module> network_of(const StepCase& step) {
  model::NetworkOptions options;
  options.net = step.net;
  options.activation = step.activation;
  options.input = step.sample;
  return model::build_network(options, kSeed);
}

OwnStep::OwnStep(const StepCase& step, const StepData& data, OwnStepOptions options)
    : options_(options),
      network_(network_of(step)),
      x_(data.x.to(options.layout).to(options.dtype)),
      labels_(data.labels) {
  network_->set_needs_input_gradient(false);
  nn::fuse(*network_);
  nn::set_memory(*network_, options.memory);
  optimizer_ = std::make_unique<optim::Sgd>(optim::make_groups(*network_));
}

void OwnStep::prepare(int threads) const {
  set_max_threads(threads);
  set_deterministic(options_.deterministic);
}

double OwnStep::run() {
  network_->zero_grad();
  const nn::LossResult loss = loss_(network_->forward(x_), labels_);
  network_->backward(loss.gradient);
  optimizer_->step(kStepRate);
  return loss.value;
}

std::size_t OwnStep::standing_bytes() {
  std::size_t bytes = x_.bytes() + labels_.size() * sizeof(labels_[0]);
  for (const auto& [name, parameter] : network_->parameters()) {
    bytes += parameter->value.bytes() + parameter->grad.bytes();
  }
  for (const auto& [name, buffer] : network_->buffers()) bytes += buffer->value.bytes();
  for (const auto& [name, tensor] : optimizer_->state_dict()) bytes += tensor.bytes();
  return bytes;
}

}  // namespace evenkeel::bench
