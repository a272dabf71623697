// One training step, and what happens where a value is not finite.
#pragma once

#include <string>
#include <vector>

#include "train/kept_buffers.h"
#include <evenkeel/data/loader.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optimizer.h>

namespace evenkeel::train {

struct StepOutcome {
  double loss = 0;
  std::int64_t correct = 0;
  bool skipped = false;  ///< parameters, statistics and optimizer are as before
  std::string trouble;   ///< which layer or value was not finite; empty if all were
};

class Stepper {
 public:
  /// Switches the guard of every batch norm layer on. `clip` 0: off. `micro_batch` is how many
  /// samples go through the network at a time, 0: all; the gradients of a batch are added up, so
  /// that only batch norm sees the parts, as virtual batches of that size (ghost_size). A last part
  /// of one sample is joined to the one before.
  Stepper(nn::Module& network, optim::Optimizer& optimizer, double label_smoothing, double clip,
          std::int64_t micro_batch = 0);

  /// All or nothing: where it throws (memory, say), running statistics, random positions,
  /// parameters and optimizer are as before, and nothing is saved for backward.
  StepOutcome step(const data::Batch& batch, double lr);

  /// The batch norm layer whose virtual batches are larger than a part of a batch of so many
  /// samples, or null.
  const nn::BatchNorm* too_large_for(std::int64_t samples) const;

 private:
  StepOutcome attempt(const data::Batch& batch, double lr);
  std::int64_t end_of_part(std::int64_t begin, std::int64_t samples) const;
  bool add_gradient(const data::Batch& part, double share, StepOutcome& outcome);
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
  std::int64_t micro_batch_;
  KeptBuffers before_;
  std::vector<Watched> watched_;
};

}  // namespace evenkeel::train
