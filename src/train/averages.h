// Averages of the weights over a run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/data/loader.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/train/settings.h>

namespace evenkeel::train {

/// An average of a network's parameters, held in double: a single step moves it by less than f32
/// tells apart.
class WeightAverage {
 public:
  explicit WeightAverage(nn::Module& network);

  /// average += share · (weights − average). Allocates nothing.
  void take(double share);
  /// How often take() was called.
  std::int64_t count() const { return *count_.data<std::int64_t>(); }
  /// Rounds the average into the parameters of a copy of the network.
  void copy_to(nn::Module& copy) const;

  /// "count" and the parameters by name; the tensors share memory with the average.
  nn::StateDict state_dict() const;
  /// Throws IoError for a state that is not one of such an average.
  void load_state_dict(const nn::StateDict& state);

 private:
  struct Entry {
    nn::NamedParameter live;
    Tensor average;
  };
  std::vector<Entry> entries_;
  Tensor count_;
};

/// A copy of the network with the averaged weights, and with running statistics of their own, for
/// those of the run belong to other weights: over the training samples as they are, without
/// augmentation.
std::unique_ptr<nn::Module> averaged(const nn::Module& network, const WeightAverage& average,
                                     const data::Dataset& train, data::LoaderOptions batches);

/// The averages that the settings ask for, and when they are taken.
///
/// ema: after every step that was not skipped, with the share 1 − min(ema, (1 + n)/(10 + n)) of the
/// new weights, n averaged before: the first steps do not weigh for ever. swa (Izmailov et al.,
/// 2018): the mean of the weights at the ends of the epochs behind its start.
class Averages {
 public:
  Averages(nn::Module& network, const Settings& settings, std::int64_t steps_per_epoch);

  /// The rate of the step after `step` ones: swa_lr once averaging has begun, else what is
  /// scheduled.
  double rate(std::int64_t step, double scheduled) const;
  void after_step();
  /// `step` steps were taken so far.
  void after_epoch(std::int64_t step);

  /// "ema.<name>" and "swa.<name>"; empty where there are none.
  nn::StateDict state_dict() const;
  void load_state_dict(const nn::StateDict& state);

  const std::optional<WeightAverage>& ema() const { return ema_; }
  const std::optional<WeightAverage>& swa() const { return swa_; }

 private:
  double decay_;
  std::optional<double> swa_lr_;
  std::int64_t swa_start_ = 0;  // in steps
  std::optional<WeightAverage> ema_, swa_;
};

/// The decay of the update after n others.
double ema_decay(double decay, std::int64_t n);

}  // namespace evenkeel::train
