// One training run inside a cell: no folder, no log, everything seeded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lab/cell.h"
#include "lab/material.h"
#include <evenkeel/data/loader.h>
#include <evenkeel/model/network.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/train/evaluate.h>

namespace evenkeel::lab {

/// What happens inside a step, for probes. Each may be empty.
struct Hooks {
  /// Before the step numbered `step`, from 0; x as it goes in.
  std::function<void(std::int64_t step, nn::Module& network, const data::Batch& batch)> before = {};
  /// Gradients are there, parameters not yet updated.
  std::function<void(std::int64_t step, nn::Module& network, const data::Batch& batch)> gradients =
      {};
};

struct Trial {
  /// Builds the network, parameters drawn from the seed.
  std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> network;
  Layout layout = Layout::channels_first;
  std::uint64_t seed = 1;  ///< of parameters, order, dropout
  std::int64_t steps = 300;
  std::int64_t batch_size = 64;
  /// Samples of step `step`'s batch that are used, at most batch_size; empty: all.
  std::function<std::int64_t(std::int64_t step)> batch_of = {};
  double rate = 0.1;
  std::string schedule = "constant";  ///< as --schedule
  std::string optimizer = "sgd";
  double momentum = 0.9;
  double weight_decay = 0;
  double clip = 0;  ///< 0: off
  data::Augmentation augment = {};
  /// Steps between evaluations on `watched`, in eval mode, beside the one behind the last step; 0:
  /// none.
  std::int64_t evaluate_every = 0;
  /// Above 1: evaluations also at the beginning, from step 8 on, each behind so many times the
  /// steps of the one before, until they are evaluate_every apart; for counting steps, whose ratios
  /// could otherwise be no larger than steps / evaluate_every.
  double evaluate_growth = 0;
  const data::Dataset* watched = nullptr;
  bool fuse = true;  ///< false where probes look between batch norm and activation
  Hooks hooks = {};
};

struct Trained {
  std::unique_ptr<nn::Module> network;  ///< as the last step left it, in training mode
  bool diverged = false;                ///< a loss was not finite: the step before it was the last
  std::int64_t steps = 0;
  Series loss;           ///< training loss, means over a hundredth of the run or 10 steps each
  Series accuracy;       ///< on `watched`
  double last_loss = 0;  ///< mean training loss over the last tenth
  double chance = 0;     ///< accuracy of a guess

  /// On `watched` behind the last step; a guess where the run diverged.
  double final_accuracy() const;
};

/// A run as a cell's measurement: values "accuracy" (called "validation" in stage "tune"), "loss"
/// (training, last tenth) and "diverged", series "accuracy" and "loss".
Measurement summarize(const Trained& trained, const Cell& cell);

/// Trains. The same trial gives the same bits for any number of threads and of trials beside it (in
/// deterministic mode). Throws what network and data throw.
Trained train(const Material& material, const Trial& trial);

/// A builder for a named network on this material: input, classes and the norm's word filled in.
std::function<std::unique_ptr<nn::Module>(std::uint64_t seed)> builder(
    const Material& material, model::NetworkOptions options);
/// How its inputs are best laid out.
Layout layout_for(const model::NetworkOptions& options);

/// Accuracy of the network on a part, 0 to 1; a network whose outputs are not finite is wrong.
double accuracy_on(nn::Module& network, const Material& material, const data::Dataset& part,
                   Layout layout, const train::EvalOptions& options = {});

/// The steps behind which a trial evaluates, rising; the last one is among them.
std::vector<std::int64_t> evaluations_of(const Trial& trial);

/// Where the curve first reaches `goal`, on straight lines between its points, or `otherwise`.
double first_reach(const Series& curve, double goal, double otherwise);

}  // namespace evenkeel::lab
