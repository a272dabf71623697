// Less sensitive to initialization: final accuracy over six decades of initial weight scale.

#include <algorithm>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/networks.h"
#include "lab/points.h"
#include "lab/trial.h"

namespace evenkeel::lab {
namespace {

const std::vector<std::string> kArms{"with batch norm", "without"};  // their numbers: 0 and 1

/// Wide enough for the rates that huge and tiny weights want.
const std::vector<double> kDecades{1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10};

struct Plan {
  Material material;
  std::vector<double> scales, rates;
  std::vector<std::int64_t> widths;
  std::int64_t steps;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(6000, 0, 400),
                                     session.pick<std::int64_t>(500, 5000, 100),
                                     session.pick<std::int64_t>(1000, 0, 100)),
          session.pick<std::vector<double>>(
              {1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3},
              {1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 1e1, 3e1, 1e2, 3e2, 1e3}, {1e-3, 1, 1e3}),
          session.pick<std::vector<double>>(kDecades, kDecades, {0.01, 0.1}),
          session.pick<std::vector<std::int64_t>>({48, 48, 48}, {100, 100, 100}, {16, 16}),
          session.pick<std::int64_t>(450, 5000, 10)};
}

void scale_weights(nn::Module& network, double scale, bool output) {
  std::vector<Tensor> weights;
  for (const nn::NamedParameter& named : network.parameters()) {
    if (named.parameter->kind == nn::ParameterKind::weight) {
      weights.push_back(named.parameter->value);  // a handle: the memory is the network's
    }
  }
  if (!output) weights.pop_back();
  for (Tensor& weight : weights) {
    for (float& value : weight.span<float>()) value *= static_cast<float>(scale);
  }
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    PlainNet net{.widths = plan.widths};
    if (cell.arm == kArms[0]) net.norm = model::Placement::before;
    Trial trial;
    trial.network = [&](std::uint64_t seed) {
      auto network = build(plan.material, net, seed);
      draw_weights(*network, nn::init::Nonlinearity::relu, seed);
      scale_weights(*network, cell.where("scale"), cell.where("output") != 0);
      return network;
    };
    trial.seed = cell.seed;
    trial.batch_size = 50;
    trial.rate = cell.where("rate");
    trial.steps = plan.steps;
    trial.watched =
        cell.stage == "tune" ? &plan.material.splits.validation : &plan.material.splits.test;
    return summarize(train(plan.material, trial), cell);
  };
}

/// The scales twice: of the hidden layers' weights alone, then of all.
PointSearch search_of(const Plan& plan) {
  PointSearch search{.arms = kArms, .rates = plan.rates};
  for (const bool output : {false, true}) {
    for (const double scale : plan.scales) {
      search.points.push_back({fmt::format("{}, ×{:g}", output ? "all" : "hidden", scale),
                               {{"scale", scale}, {"output", output ? 1 : 0}}});
    }
  }
  return search;
}

constexpr double kNear = 0.1;

struct Outcomes {
  const Plan& plan;
  const PointResults& results;

  std::size_t point(std::size_t scale, bool output) const {
    return scale + (output ? plan.scales.size() : 0);
  }
  std::vector<double> accuracies(std::size_t arm, std::size_t scale, bool output) const {
    return results.values(arm, point(scale, output), "accuracy");
  }
  /// For each seed, the accuracies at the scales that `wanted` takes.
  template <class Wanted>
  std::vector<std::vector<double>> by_seed(std::size_t arm, bool output, Wanted wanted) const {
    std::vector<std::vector<double>> seeds;
    for (std::size_t scale = 0; scale < plan.scales.size(); ++scale) {
      if (!wanted(plan.scales[scale])) continue;
      const std::vector<double> values = accuracies(arm, scale, output);
      seeds.resize(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) seeds[i].push_back(values[i]);
    }
    return seeds;
  }
  template <class Wanted>
  std::vector<double> means(std::size_t arm, bool output, Wanted wanted) const {
    std::vector<double> means;
    for (const auto& seed : by_seed(arm, output, wanted)) means.push_back(mean_of(seed));
    return means;
  }
  /// For each seed, at how many scales the accuracy lies near the best of either arm.
  std::vector<double> good_scales(std::size_t arm, bool output) const {
    const auto any = [](double) { return true; };
    const auto own = by_seed(arm, output, any), other = by_seed(1 - arm, output, any);
    std::vector<double> counts;
    for (std::size_t i = 0; i < own.size(); ++i) {
      const double best = std::max(std::ranges::max(own[i]), std::ranges::max(other[i]));
      counts.push_back(static_cast<double>(std::ranges::count_if(
          own[i], [&](double accuracy) { return accuracy >= best - kNear; })));
    }
    return counts;
  }
};

std::string_view scaled_text(bool output) { return output ? "all weights" : "hidden layers"; }

void add_checks(Session& session, const Outcomes& outcomes) {
  const auto small = [](double scale) { return scale < 1; };
  const auto large = [](double scale) { return scale > 1; };
  for (const bool output : {false, true}) {
    session.add(check_difference(
        fmt::format("higher accuracy where weights begin too small, {}", scaled_text(output)),
        "points, mean over the scales, with − without",
        points_between(outcomes.means(0, output, small), outcomes.means(1, output, small)), 1));
    session.add(check_difference(
        fmt::format("higher accuracy where weights begin too large, {}", scaled_text(output)),
        "points, mean over the scales, with − without",
        points_between(outcomes.means(0, output, large), outcomes.means(1, output, large)), 1));
    session.add(check_difference(
        fmt::format("more scales within {:g} points of the best accuracy, {}", 100 * kNear,
                    scaled_text(output)),
        fmt::format("scales of {}, with − without", outcomes.plan.scales.size()),
        differences(outcomes.good_scales(0, output), outcomes.good_scales(1, output)), 1));
  }
}

Chart accuracy_chart(const Outcomes& outcomes) {
  Chart chart{.id = "accuracy",
              .title = "Test accuracy against the scale of the initial weights",
              .note =
                  "Each point at its own best learning rate; means over the seeds with 95 % "
                  "intervals. Dashed: the output layer's weights are scaled as well.",
              .x = {.label = "factor on the initial weights", .scale = Scale::log},
              .y = {.label = "test accuracy", .unit = "%"},
              .headline = true};
  for (const bool output : {false, true}) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      ChartSeries series;
      series.name = fmt::format("{}, {}", kArms[arm], scaled_text(output));
      series.dash = output;
      series.color = static_cast<int>(arm);
      for (std::size_t scale = 0; scale < outcomes.plan.scales.size(); ++scale) {
        add_point(series, outcomes.plan.scales[scale], outcomes.accuracies(arm, scale, output),
                  100);
      }
      chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

Chart rate_chart(const Outcomes& outcomes) {
  Chart chart{.id = "rate",
              .title = "Best learning rate against the scale of the initial weights",
              .note = "Where no rate was better than a guess, the choice means nothing.",
              .x = {.label = "factor on the initial weights", .scale = Scale::log},
              .y = {.label = "best learning rate of the grid", .scale = Scale::log}};
  for (const bool output : {false, true}) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      ChartSeries series;
      series.name = fmt::format("{}, {}", kArms[arm], scaled_text(output));
      series.dash = output;
      series.color = static_cast<int>(arm);
      for (std::size_t scale = 0; scale < outcomes.plan.scales.size(); ++scale) {
        series.x.push_back(outcomes.plan.scales[scale]);
        series.y.push_back(outcomes.results.rate(arm, outcomes.point(scale, output)));
      }
      chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

DataTable table_of(const Outcomes& outcomes) {
  DataTable table{.title = "Test accuracy at each scale: mean (95 % interval)", .columns = {""}};
  for (const double scale : outcomes.plan.scales) {
    table.columns.push_back(fmt::format("×{:g}", scale));
  }
  for (const bool output : {false, true}) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      std::vector<std::string> row{fmt::format("{}, {}", kArms[arm], scaled_text(output))};
      for (std::size_t scale = 0; scale < outcomes.plan.scales.size(); ++scale) {
        row.push_back(percent_text(interval_of(outcomes.accuracies(arm, scale, output))));
      }
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

void describe(Session& session, const Plan& plan) {
  session.describe(
      {fmt::format("{} hidden layers of {} ReLU units, with batch norm before each ReLU and "
                   "without; batches of 50, gradient descent with momentum 0.9, {} steps. The "
                   "weights are drawn as He et al. (2015) recommend, the same ones for both arms, "
                   "and then multiplied by a factor from {:g} to {:g}: in one half of the runs "
                   "those of the hidden layers, in the other half the output layer's, too, which "
                   "no batch norm follows.",
                   plan.widths.size(), plan.widths.front(), plan.steps, plan.scales.front(),
                   plan.scales.back()),
       fmt::format("At every factor each arm has the best of {} learning rates from {:g} to {:g}, "
                   "chosen on held-back samples after as many steps with another seed; then {} "
                   "seeds each, the same ones for both. So an arm that merely needs another rate "
                   "at another scale is not blamed for it.",
                   plan.rates.size(), plan.rates.front(), plan.rates.back(), session.seeds())});
}

void conclude(Session& session, const Outcomes& outcomes) {
  const auto range = [&](std::size_t arm, bool output) {
    std::vector<double> means;
    for (std::size_t scale = 0; scale < outcomes.plan.scales.size(); ++scale) {
      means.push_back(mean_of(outcomes.accuracies(arm, scale, output)));
    }
    return fmt::format("{:.1f} to {:.1f} %", 100 * std::ranges::min(means),
                       100 * std::ranges::max(means));
  };
  session.conclude(fmt::format(
      "Over six decades of the hidden layers' initial weights the accuracy was {} with batch norm "
      "and {} without; with the output layer's weights scaled as well, {} and {}.",
      range(0, false), range(1, false), range(0, true), range(1, true)));
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const PointResults results = measure_points(session, search_of(plan), measure_with(plan));
  const Outcomes outcomes{plan, results};
  add_checks(session, outcomes);
  session.add(accuracy_chart(outcomes));
  session.add(rate_chart(outcomes));
  session.add(table_of(outcomes));
  describe(session, plan);
  conclude(session, outcomes);
}

}  // namespace

Experiment initialization() {
  return {
      .name = "initialization",
      .title = "Less sensitive to initialization",
      .claim =
          "With batch normalization a network is less sensitive to how large its weights are at "
          "first.",
      .source =
          "Ioffe and Szegedy 2015, section 3.3 (BN(Wu) = BN((aW)u)), "
          "https://arxiv.org/abs/1502.03167",
      .question =
          "What accuracy does a network reach from initial weights between a thousandth and a "
          "thousand times the recommended size, with batch norm and without, each at its best "
          "learning rate?",
      .supports =
          "Higher accuracy with batch norm where weights begin too small and where they "
          "begin too large, and more scales at which it is near the best of both arms.",
      .contradicts =
          "Lower accuracy with batch norm where weights begin too small or too large, by a point "
          "or more, or fewer scales near the best. Accuracies that depend on the scale as much "
          "leave a check unclear.",
      .practice =
          {"Initialize as usual (He for ReLU) with batch norm as well: it forgives a wrong "
           "scale, it does not replace a right one.",
           "Before batch norm the scale of the weights still sets the effective learning rate: "
           "gradients shrink as weights grow, so from huge weights training is slow at any "
           "usual rate.",
           "The last layer, which no batch norm follows, has no such protection; keep its "
           "initial weights small."},
      .needs = Needs::features,
      .contrast = {kArms[0], kArms[1]},
      .quick_seconds = 30,
      .full_seconds = 1200,
      .run = run};
}

}  // namespace evenkeel::lab
