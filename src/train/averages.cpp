#include "train/averages.h"

#include <algorithm>
#include <cmath>

#include <evenkeel/core/error.h>
#include <evenkeel/core/parallel.h>
#include <evenkeel/core/stored.h>
#include <evenkeel/nn/recalibration.h>

namespace evenkeel::train {
namespace {

constexpr std::int64_t kRange = 16 * 1024;
constexpr std::string_view kEma = "ema.";
constexpr std::string_view kSwa = "swa.";
constexpr std::string_view kCount = "count";

/// Of a start that is a part of the run, or from 1 a number of epochs.
std::int64_t start_step(const Settings& settings, std::int64_t steps_per_epoch) {
  const double epochs =
      settings.swa < 1 ? settings.swa * static_cast<double>(settings.epochs) : settings.swa;
  return static_cast<std::int64_t>(std::floor(epochs * static_cast<double>(steps_per_epoch)));
}

nn::StateDict part_of(const nn::StateDict& state, std::string_view prefix) {
  nn::StateDict part;
  for (const auto& [name, tensor] : state) {
    if (name.starts_with(prefix)) part.emplace_back(name.substr(prefix.size()), tensor);
  }
  return part;
}

}  // namespace

WeightAverage::WeightAverage(nn::Module& network) : count_(Tensor::zeros({1}, DType::i64)) {
  for (const nn::NamedParameter& named : network.parameters()) {
    entries_.push_back({named, Tensor::zeros(named.parameter->value.shape(), DType::f64,
                                             named.parameter->value.layout())});
  }
}

void WeightAverage::take(double share) {
  for (Entry& entry : entries_) {
    double* const average = entry.average.data<double>();
    const Tensor& value = entry.live.parameter->value;
    with_dtype(value.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* const weights = value.data<T>();
      parallel_ranges(value.numel(), kRange, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          average[i] += share * (in_double(weights[i]) - average[i]);
        }
      });
    });
  }
  ++*count_.data<std::int64_t>();
}

void WeightAverage::copy_to(nn::Module& copy) const {
  const std::vector<nn::NamedParameter> parameters = copy.parameters();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    parameters[i].parameter->value.copy_from(entries_[i].average);
  }
}

nn::StateDict WeightAverage::state_dict() const {
  nn::StateDict state{{std::string(kCount), count_}};
  for (const Entry& entry : entries_) {
    state.emplace_back("parameter." + entry.live.name, entry.average);
  }
  return state;
}

void WeightAverage::load_state_dict(const nn::StateDict& state) {
  const nn::StateDict own = state_dict();
  bool fits = own.size() == state.size();
  for (std::size_t i = 0; fits && i < own.size(); ++i) {
    fits = own[i].first == state[i].first && own[i].second.shape() == state[i].second.shape() &&
           own[i].second.dtype() == state[i].second.dtype();
  }
  if (!fits) fail<IoError>("[train] the averages of the checkpoint are not those of this network");
  for (std::size_t i = 0; i < own.size(); ++i) {
    Tensor mine = own[i].second;
    mine.copy_from(state[i].second);
  }
}

std::unique_ptr<nn::Module> averaged(const nn::Module& network, const WeightAverage& average,
                                     const data::Dataset& train, data::LoaderOptions batches) {
  std::unique_ptr<nn::Module> copy = network.clone();
  average.copy_to(*copy);
  if (!nn::can_recalibrate(*copy)) return copy;
  batches.augment = {};
  batches.last = data::LastBatch::keep;
  const auto source = [&](const auto& take) {
    data::Loader all(train, batches);
    all.start(0);
    for (data::Batch batch; all.next(batch);) take(batch.x, nn::Lengths(batch.lengths));
  };
  nn::recalibrate(*copy, source);
  return copy;
}

double ema_decay(double decay, std::int64_t n) {
  const auto before = static_cast<double>(n);
  return std::min(decay, (1 + before) / (10 + before));
}

Averages::Averages(nn::Module& network, const Settings& settings, std::int64_t steps_per_epoch)
    : decay_(settings.ema), swa_lr_(settings.swa_lr) {
  if (settings.ema > 0) ema_.emplace(network);
  if (settings.swa > 0) {
    swa_.emplace(network);
    swa_start_ = start_step(settings, steps_per_epoch);
  }
}

double Averages::rate(std::int64_t step, double scheduled) const {
  return swa_ && swa_lr_ && step >= swa_start_ ? *swa_lr_ : scheduled;
}

void Averages::after_step() {
  if (!ema_) return;
  const std::int64_t before = ema_->count();
  // The first weights are the average of themselves.
  ema_->take(before == 0 ? 1 : 1 - ema_decay(decay_, before));
}

void Averages::after_epoch(std::int64_t step) {
  if (swa_ && step > swa_start_) swa_->take(1 / static_cast<double>(swa_->count() + 1));
}

nn::StateDict Averages::state_dict() const {
  nn::StateDict state;
  const auto add = [&](std::string_view prefix, const std::optional<WeightAverage>& average) {
    if (!average) return;
    for (const auto& [name, tensor] : average->state_dict()) {
      state.emplace_back(std::string(prefix) + name, tensor);
    }
  };
  add(kEma, ema_);
  add(kSwa, swa_);
  return state;
}

void Averages::load_state_dict(const nn::StateDict& state) {
  if (ema_) ema_->load_state_dict(part_of(state, kEma));
  if (swa_) swa_->load_state_dict(part_of(state, kSwa));
}

}  // namespace evenkeel::train
