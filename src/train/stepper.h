// One training step, and what happens where a value is not finite.
#pragma once

#include <string>
#include <vector>

#include <evenkeel/data/loader.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optimizer.h>

namespace evenkeel::train {

struct StepOutcome {
  double loss = 0;
  std::int64_t correct = 0;
  bool skipped = false;  ///< parameters and optimizer are as before
  std::string trouble;   ///< which layer or value was not finite; empty if all were
};

class Stepper {
 public:
  /// Switches the guard of every batch norm layer on. `clip` 0: off.
  Stepper(nn::Module& network, optim::Optimizer& optimizer, double label_smoothing, double clip);

  StepOutcome step(const data::Batch& batch, double lr);

 private:
  struct Watched {
    nn::BatchNorm* layer;
    std::int64_t refused;
  };
  /// The first batch norm layer that refused this batch, or null.
  const nn::BatchNorm* refusing_layer();

  nn::Module& network_;
  optim::Optimizer& optimizer_;
  nn::CrossEntropy loss_;
  double clip_;
  std::vector<Watched> watched_;
};

}  // namespace evenkeel::train
