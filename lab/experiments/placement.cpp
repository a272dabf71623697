// Before or after the activation, or at the input: the same network with its norms elsewhere.

#include <algorithm>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/networks.h"
#include "lab/points.h"
#include "lab/trial.h"

namespace evenkeel::lab {
namespace {

const std::vector<std::string> kArms{"before", "after", "at the input"};
constexpr std::size_t kBefore = 0, kAfter = 1;

struct Activation {
  std::string name;
  bool sigmoid;
};
const std::vector<Activation> kActivations{{"ReLU", false}, {"sigmoid", true}};
constexpr std::size_t kRelu = 0, kSigmoid = 1;

struct Plan {
  Material material;
  std::vector<double> rates;
  std::vector<std::int64_t> widths;
  std::int64_t steps, every;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(6000, 0, 400),
                                     session.pick<std::int64_t>(600, 5000, 100),
                                     session.pick<std::int64_t>(1000, 0, 100)),
          session.pick<std::vector<double>>({0.003, 0.01, 0.03, 0.1, 0.3, 1},
                                            {0.003, 0.01, 0.03, 0.1, 0.3, 1}, {0.03, 0.1}),
          session.pick<std::vector<std::int64_t>>({100, 100, 100}, {100, 100, 100}, {16, 16}),
          session.pick<std::int64_t>(800, 10'000, 10), session.pick<std::int64_t>(40, 250, 5)};
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const PlainNet net{.widths = plan.widths,
                       .sigmoid = cell.where("sigmoid") != 0,
                       .norm = cell.arm == kArms[kBefore]  ? model::Placement::before
                               : cell.arm == kArms[kAfter] ? model::Placement::after
                                                           : model::Placement::input};
    Trial trial;
    trial.network = [&](std::uint64_t seed) {
      auto network = build(plan.material, net, seed);
      draw_weights(*network,
                   net.sigmoid ? nn::init::Nonlinearity::sigmoid : nn::init::Nonlinearity::relu,
                   seed);
      return network;
    };
    trial.seed = cell.seed;
    trial.batch_size = 60;
    trial.rate = cell.where("rate");
    trial.steps = plan.steps;
    const bool tuning = cell.stage == "tune";
    trial.evaluate_every = tuning ? 0 : plan.every;
    trial.watched = tuning ? &plan.material.splits.validation : &plan.material.splits.test;
    const Trained trained = train(plan.material, trial);
    Measurement measurement = summarize(trained, cell);
    measurement.values["average"] = trained.diverged ? trained.chance : mean_of(trained.accuracy.y);
    return measurement;
  };
}

PointSearch search_of(const Plan& plan) {
  PointSearch search{.arms = kArms, .rates = plan.rates};
  for (const Activation& one : kActivations) {
    search.points.push_back({one.name, {{"sigmoid", one.sigmoid ? 1 : 0}}});
  }
  return search;
}

/// Before − after in points, seed by seed.
std::vector<double> advantage(const PointResults& results, std::size_t activation,
                              const std::string& value) {
  return points_between(results.values(kBefore, activation, value),
                        results.values(kAfter, activation, value));
}

void add_checks(Session& session, const PointResults& results) {
  for (std::size_t i = 0; i < kActivations.size(); ++i) {
    session.add(check_difference(fmt::format("higher final accuracy, {}", kActivations[i].name),
                                 "points, before − after", advantage(results, i, "accuracy"), 0.3));
    session.add(check_difference(
        fmt::format("higher accuracy on average over the run, {}", kActivations[i].name),
        "points, before − after", advantage(results, i, "average"), 0.5));
  }
}

Chart final_chart(const PointResults& results) {
  Chart chart{
      .id = "final",
      .title = "Final test accuracy of each placement",
      .note = "Each at its own best learning rate; means over the seeds with 95 % intervals.",
      .type = ChartType::scatter,
      .x = {.label = "placement of batch norm", .scale = Scale::category, .categories = kArms},
      .y = {.label = "test accuracy", .unit = "%"},
      .headline = true};
  for (std::size_t activation = 0; activation < kActivations.size(); ++activation) {
    ChartSeries series;
    series.name = kActivations[activation].name;
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      add_point(series, static_cast<double>(arm), results.values(arm, activation, "accuracy"), 100);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Chart curves(const PointResults& results, std::size_t activation) {
  Chart chart{.id = kActivations[activation].name,
              .title = fmt::format("Test accuracy against training steps, {}",
                                   kActivations[activation].name),
              .note = "Means over the seeds; bands are 95 % intervals of the mean.",
              .x = {.label = "training steps"},
              .y = {.label = "test accuracy", .unit = "%"}};
  for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
    chart.series.push_back(mean_curve(kArms[arm], results.at(arm, activation), "accuracy", 100));
  }
  return chart;
}

DataTable table_of(const PointResults& results) {
  DataTable table{"Test accuracy: mean (95 % interval)",
                  {"", "best rate", "final", "average over the run"}};
  for (std::size_t activation = 0; activation < kActivations.size(); ++activation) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      table.rows.push_back({fmt::format("{}, {}", kActivations[activation].name, kArms[arm]),
                            fmt::format("{:g}", results.rate(arm, activation)),
                            percent_text(interval_of(results.values(arm, activation, "accuracy"))),
                            percent_text(interval_of(results.values(arm, activation, "average")))});
    }
  }
  return table;
}

/// What the claim says of ReLU in particular. It is no check: where after is better with both, a
/// smaller loss with ReLU would speak for it.
DataTable differences_table(const PointResults& results) {
  DataTable table{"Before − after in points: mean (95 % interval)",
                  {"", "final", "average over the run"}};
  for (std::size_t i = 0; i < kActivations.size(); ++i) {
    table.rows.push_back({kActivations[i].name,
                          interval_text(interval_of(advantage(results, i, "accuracy"))),
                          interval_text(interval_of(advantage(results, i, "average")))});
  }
  return table;
}

void describe(Session& session, const Plan& plan) {
  session.describe(
      {fmt::format("{} hidden layers of {} units, ReLU or sigmoid; batches of 60, gradient descent "
                   "with momentum 0.9, {} steps. Batch norm stands before each activation, after "
                   "each, or once, on the network's input. The weights are the same for all three.",
                   plan.widths.size(), plan.widths.front(), plan.steps),
       fmt::format("Each placement has, for each activation, the best of {} learning rates, chosen "
                   "on held-back samples after as many steps with another seed; then {} seeds "
                   "each, the same ones for all. The verdict compares before with after; at the "
                   "input stands beside them.",
                   plan.rates.size(), session.seeds())});
}

void conclude(Session& session, const PointResults& results) {
  const auto percent = [&](std::size_t arm, std::size_t activation) {
    return 100 * mean_of(results.values(arm, activation, "accuracy"));
  };
  const auto points = [&](std::size_t activation) {
    Interval interval = interval_of(advantage(results, activation, "accuracy"));
    return fmt::format("{:+.1f} points, {:+.1f} to {:+.1f}", interval.mean, interval.lo,
                       interval.hi);
  };
  session.conclude(fmt::format(
      "Final accuracy with batch norm before, after and at the input: {:.1f}, {:.1f} and {:.1f} % "
      "with ReLU (before − after: {}), {:.1f}, {:.1f} and {:.1f} % with sigmoid ({}).",
      percent(0, kRelu), percent(1, kRelu), percent(2, kRelu), points(kRelu), percent(0, kSigmoid),
      percent(1, kSigmoid), percent(2, kSigmoid), points(kSigmoid)));
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const PointResults results = measure_points(session, search_of(plan), measure_with(plan));
  add_checks(session, results);
  session.add(final_chart(results));
  for (std::size_t i = 0; i < kActivations.size(); ++i) session.add(curves(results, i));
  session.add(table_of(results));
  session.add(differences_table(results));
  describe(session, plan);
  conclude(session, results);
}

}  // namespace

Experiment placement() {
  return {
      .name = "placement",
      .title = "Before or after the activation",
      .claim =
          "Batch normalization belongs before the activation rather than after it, most of "
          "all with ReLU.",
      .source = "Ioffe and Szegedy 2015, section 3.2, https://arxiv.org/abs/1502.03167",
      .question =
          "How accurate is the same network with batch norm before each activation, after each, "
          "and on its input alone, with ReLU and with sigmoid?",
      .supports =
          "Higher accuracy before than after, at the end and on average over the run, with either "
          "activation.",
      .contradicts =
          "Higher accuracy after, at the end or on average, with either activation. Where both are "
          "as accurate, a check stays unclear.",
      .practice =
          {"Keep to before where a published network does: its recipe was found with it, and "
           "batch norm folds into the layer before it at inference.",
           "The order is no law: on ImageNet, Mishkin et al. 2016 "
           "(https://arxiv.org/abs/1606.02228) found after as good or better; where it matters, "
           "try both.",
           "Normalizing the input helps every network and is done once with the data's own mean "
           "and deviation; it does not replace normalization inside."},
      .needs = Needs::features,
      .contrast = {kArms[kBefore], kArms[kAfter]},
      .quick_seconds = 30,
      .full_seconds = 600,
      .run = run};
}

}  // namespace evenkeel::lab
