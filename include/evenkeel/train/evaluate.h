// How good a network is on a data set.
#pragma once

#include <cstdint>
#include <functional>

#include <evenkeel/data/dataset.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::train {

struct Evaluation {
  double loss = 0;      ///< mean cross-entropy, without label smoothing
  double accuracy = 0;  ///< 0 to 1
  std::int64_t count = 0;
};

enum class EvalMode : std::uint8_t {
  eval,  ///< running statistics
  train  ///< the statistics of each batch, and dropout, as in training
};

struct EvalOptions {
  std::int64_t batch_size = 256;
  Layout layout = Layout::channels_first;
  DType dtype = DType::f32;  ///< of the activations: f32 or bf16
  EvalMode mode = EvalMode::eval;
  /// The network takes batches of batch_size alone: a last one that is shorter is filled up, which
  /// EvalMode::train refuses.
  bool fixed_batch = false;
  /// The network gives probabilities, not logits: the loss is the mean of −log of the label's.
  bool probabilities = false;
  std::function<void(std::int64_t done, std::int64_t total)>
      progress;  ///< in samples; may be empty
};

/// Runs the data set through the network, in order. The network is left as it was: mode, running
/// statistics and random states. In EvalMode::train a single sample left over at the end is
/// dropped, for it has no variance; `count` says how many were used. Throws UsageError for an empty
/// data set or a batch size below 1 (2 in EvalMode::train), and what the network throws.
Evaluation evaluate(nn::Module& network, const data::Dataset& dataset,
                    const data::Normalization& normalization, const EvalOptions& options = {});

}  // namespace evenkeel::train
