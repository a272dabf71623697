// One training step of evenkeel, as the benchmarks of time and of memory take it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "steps.h"
#include <evenkeel/core/tensor.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/nn/memory.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/optim/optimizer.h>

namespace evenkeel::bench {

/// The rate of every step.
inline constexpr double kStepRate = 1e-3;

/// One batch of a step case; the same for everyone.
struct StepData {
  Tensor x;
  std::vector<std::int32_t> labels;
};

StepData data_of(const StepCase& step);
/// With the weights that everyone begins with.
std::unique_ptr<nn::Module> network_of(const StepCase& step);

struct OwnStepOptions {
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;  ///< of the activations
  bool deterministic = false;
  nn::Memory memory = nn::Memory::normal;
};

/// A network, its optimizer and its batch.
class OwnStep {
 public:
  OwnStep(const StepCase& step, const StepData& data, OwnStepOptions options);

  /// Sets the process up for run().
  void prepare(int threads) const;
  /// One step; returns the loss.
  double run();
  /// Bytes of what stays from step to step: parameters, gradients, buffers, the optimizer's state,
  /// the batch.
  std::size_t standing_bytes();

 private:
  OwnStepOptions options_;
  std::unique_ptr<nn::Module> network_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  nn::CrossEntropy loss_;
  Tensor x_;
  std::vector<std::int32_t> labels_;
};

}  // namespace evenkeel::bench
