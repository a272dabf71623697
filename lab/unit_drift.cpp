#include "lab/unit_drift.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <evenkeel/core/error.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/train/percentiles.h>

namespace evenkeel::lab {
namespace {

/// Children of the network: what gives the last sigmoid its input, and the Linear at or before it.
struct Ends {
  std::size_t input, before;
};

Ends ends_of(const nn::Module& network) {
  for (std::size_t i = network.child_count(); i-- > 2;) {
    if (network.child(i).type() != "Sigmoid") continue;
    const bool normalized = network.child(i - 1).type() != "Linear";
    return {i - 1, normalized ? i - 2 : i - 1};
  }
  fail<UsageError>("[lab] expected a network with a Sigmoid behind a Linear, got a {} without",
                   network.type());
}

// Of all units: a train::ActivationRecorder takes one, or the values of all of them together.
std::vector<Percentiles> percentiles_of(const Tensor& values) {
  constexpr std::array<double, 3> kWhich{15, 50, 85};
  std::vector<Percentiles> units;
  for (std::int64_t unit = 0; unit < values.dim(1); ++unit) {
    const std::vector<double> three = train::percentiles_of_unit(values, unit, kWhich);
    units.push_back({three[0], three[1], three[2]});
  }
  return units;
}

double spread_of(const Percentiles& unit) { return (unit[2] - unit[0]) / 2; }

/// One of the two distributions at all looks.
struct Sight {
  std::vector<double> steps;
  std::vector<std::vector<Percentiles>> looks;  // by unit
};

/// How it moved.
struct Moves {
  Series curve;                  // mean drift of the units by step
  std::vector<double> by_unit;   // mean drift
  double drift = 0, spread = 0;  // geometric means over the looks of the means over units
};

Moves moves_of(const Sight& sight) {
  const std::size_t units = sight.looks.front().size(), count = sight.looks.size() - 1;
  Moves moves;
  moves.by_unit.resize(units);
  for (std::size_t i = 1; i <= count; ++i) {
    const double per_100 = 100 / (sight.steps[i] - sight.steps[i - 1]);
    double drifts = 0, spreads = 0;
    for (std::size_t unit = 0; unit < units; ++unit) {
      const Percentiles &from = sight.looks[i - 1][unit], &to = sight.looks[i][unit];
      const double drift = per_100 * std::abs(to[1] - from[1]) / spread_of(from);
      moves.by_unit[unit] += drift / static_cast<double>(count);
      drifts += drift / static_cast<double>(units);
      spreads += per_100 * std::abs(std::log(spread_of(to) / spread_of(from))) /
                 static_cast<double>(units);
    }
    moves.curve.x.push_back(sight.steps[i]);
    moves.curve.y.push_back(drifts);
    moves.drift += std::log(drifts) / static_cast<double>(count);
    moves.spread += std::log(spreads) / static_cast<double>(count);
  }
  moves.drift = std::exp(moves.drift);
  moves.spread = std::exp(moves.spread);
  return moves;
}

/// The unit in the middle, sorted by value.
std::size_t middle_of(const std::vector<double>& by_unit) {
  std::vector<std::size_t> order(by_unit.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t unit) { return by_unit[unit]; });
  return order[order.size() / 2];
}

void add_unit(Measurement& measurement, const std::string& prefix, const Sight& sight,
              std::size_t unit) {
  const std::array<std::string, 3> names{"p15", "p50", "p85"};
  for (std::size_t p = 0; p < names.size(); ++p) {
    Series& series = measurement.series[prefix + names[p]];
    series.x = sight.steps;
    for (const auto& look : sight.looks) series.y.push_back(look[unit][p]);
  }
}

}  // namespace

UnitDrift::UnitDrift(const Material& material, const data::Dataset& samples) {
  data::LoaderOptions options;
  options.batch_size = samples.size();
  options.normalization = material.normalization;
  options.prefetch = false;
  data::Loader loader(samples, options);
  loader.start(0);
  data::Batch batch;
  loader.next(batch);
  samples_ = batch.x;
}

void UnitDrift::look(std::int64_t step, const nn::Module& network) {
  const auto copy = network.clone();
  copy->train();
  const Ends ends = ends_of(*copy);
  Look look{step, {}, {}};
  nn::Watch before, input;
  before.forward = [&](const Tensor& y) { look.before = percentiles_of(y); };
  input.forward = [&](const Tensor& y) { look.input = percentiles_of(y); };
  copy->child(ends.before).set_watch(before);
  if (ends.input != ends.before) copy->child(ends.input).set_watch(input);
  (void)copy->forward(samples_);
  if (ends.input == ends.before) look.input = look.before;
  looks_.push_back(std::move(look));
}

void UnitDrift::report(Measurement& measurement) const {
  if (looks_.size() < 2) {  // a run that diverged at once
    for (const std::string& prefix : {std::string(), std::string("before_")}) {
      measurement.values[prefix + "drift"] = measurement.values[prefix + "spread"] = NAN;
      for (const std::string name : {"drift", "p15", "p50", "p85"})
        measurement.series[prefix + name];
    }
    return;
  }
  Sight input, before;
  for (const Look& look : looks_) {
    for (Sight* const sight : {&input, &before}) {
      sight->steps.push_back(static_cast<double>(look.step));
      sight->looks.push_back(sight == &input ? look.input : look.before);
    }
  }
  const std::size_t unit = middle_of(moves_of(input).by_unit);
  for (const std::string& prefix : {std::string(), std::string("before_")}) {
    const Sight& sight = prefix.empty() ? input : before;
    const Moves moves = moves_of(sight);
    measurement.values[prefix + "drift"] = moves.drift;
    measurement.values[prefix + "spread"] = moves.spread;
    measurement.series[prefix + "drift"] = moves.curve;
    add_unit(measurement, prefix, sight, unit);
  }
}

}  // namespace evenkeel::lab
