// A mild regularizer: what batch norm does to the gap between training and test, beside dropout.

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/rows.h"
#include "lab/norm_noise.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/shared_runs.h"
#include "lab/small_nets.h"
#include "lab/trial.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>

namespace evenkeel::lab {
namespace {

const std::string kWith = "with";
const std::string kWithout = "without";

/// What the arms have or lack; `at` has it as "of".
enum class Of : std::uint8_t {
  norm,    ///< batch norm, with as much dropout in both
  dropout  ///< dropout, with batch norm in both
};

std::string name_of(const std::string& arm) { return arm == kWith ? "with batch norm" : "without"; }

struct Plan {
  Material material;
  std::vector<double> rates, dropouts;
  std::int64_t steps, batch_size;
  std::vector<std::int64_t> widths, noise_sizes;
};

Plan plan_of(const Session& session) {
  return {
      session.material().limited(session.pick<std::int64_t>(500, 2000, 100),
                                 session.pick<std::int64_t>(1000, 5000, 60),
                                 session.pick<std::int64_t>(2000, 0, 60)),
      session.pick<std::vector<double>>({0.01, 0.03, 0.1}, {0.003, 0.01, 0.03, 0.1, 0.3}, {0.1}),
      session.pick<std::vector<double>>({0, 0.2, 0.4, 0.6}, {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7},
                                        {0, 0.5}),
      session.pick<std::int64_t>(700, 6000, 20),
      32,
      session.pick<std::vector<std::int64_t>>({256, 128}, {512, 256}, {16, 16}),
      session.pick<std::vector<std::int64_t>>({4, 8, 16, 32, 64, 128},
                                              {4, 8, 16, 32, 64, 128, 256, 512}, {4, 16})};
}

SmallNet net_of(const Plan& plan, bool norm, double dropout) {
  return {.widths = plan.widths,
          .bias = !norm,
          .tail = [=](nn::Sequential& network, const Place& place) {
            if (norm) network.add(make_batch_norm(place));
            network.add(nn::ReLU());
            if (dropout > 0) network.add(nn::Dropout(dropout));
          }};
}

/// The noise of the first and the last batch norm against batch size; of a network without any,
/// nothing.
void add_noise(Measurement& result, const Plan& plan, const nn::Module& network,
               std::uint64_t seed) {
  const auto add = [&](const std::string& name, std::int64_t size, double noise) {
    result.series[name].x.push_back(static_cast<double>(size));
    result.series[name].y.push_back(noise);
  };
  for (const std::int64_t size : plan.noise_sizes) {
    const auto layers = norm_noise(network, plan.material, plan.material.splits.train, size, seed);
    if (layers.empty()) return;
    add("mean, first", size, layers.front().mean);
    add("deviation, first", size, layers.front().deviation);
    add("mean, last", size, layers.back().mean);
    add("deviation, last", size, layers.back().deviation);
  }
}

Measurement measure_one(const Plan& plan, const Cell& cell, bool norm, double dropout) {
  const bool tuning = cell.stage == "tune";
  const data::Splits& splits = plan.material.splits;
  Trial trial;
  trial.network = builder(plan.material, net_of(plan, norm, dropout));
  trial.seed = cell.seed;
  trial.steps = plan.steps;
  trial.batch_size = plan.batch_size;
  trial.rate = cell.where("rate");
  trial.schedule = "cosine";
  trial.watched = tuning ? &splits.validation : &splits.test;
  trial.evaluate_every = tuning ? 0 : std::max<std::int64_t>(1, plan.steps / 20);
  const Trained trained = train(plan.material, trial);
  Measurement result = summarize(trained, cell);
  if (tuning) return result;
  const auto on = [&](const data::Dataset& part) {
    return train::evaluate(*trained.network, part, plan.material.normalization);
  };
  const train::Evaluation learned = on(splits.train), unseen = on(splits.test);
  result.values["training accuracy"] = trained.diverged ? trained.chance : learned.accuracy;
  result.values["gap"] = result.values["training accuracy"] - result.values["accuracy"];
  result.values["loss gap"] = unseen.loss - learned.loss;
  if (dropout == 0) add_noise(result, plan, *trained.network, cell.seed);
  return result;
}

Measure measure_with(const Plan& plan) {
  return [&plan, runs = std::make_shared<SharedRuns>()](const Cell& cell) {
    const bool of_dropout = cell.where("of") == static_cast<double>(Of::dropout);
    const bool with = cell.arm == kWith, norm = with || of_dropout;
    const double dropout = with || !of_dropout ? cell.where("dropout") : 0;
    return runs->measure(cell, fmt::format("{} {}", norm, dropout),
                         [&] { return measure_one(plan, cell, norm, dropout); });
  };
}

std::vector<std::pair<std::string, double>> at(Of of, double dropout) {
  return {{"dropout", dropout}, {"of", static_cast<double>(of)}};
}

std::vector<RatePoint> points_of(const Plan& plan) {
  std::vector<RatePoint> points;
  for (const std::string& arm : {kWith, kWithout}) {
    for (const double dropout : plan.dropouts) {
      points.push_back({.arm = arm, .at = at(Of::norm, dropout)});
    }
  }
  for (const std::string& arm : {kWith, kWithout}) {
    for (const double dropout : plan.dropouts) {
      if (dropout == 0) continue;
      // Shared with those above.
      points.push_back({.arm = arm, .at = at(Of::dropout, dropout), .cost = 0.01});
    }
  }
  return points;
}

std::vector<double> values(const std::vector<Result>& results, const std::string& arm, Of of,
                           double dropout, const std::string& name) {
  return values_of(at_point(results, arm, at(of, dropout)), name);
}
std::vector<double> values(const std::vector<Result>& results, const std::string& arm,
                           double dropout, const std::string& name) {
  return values(results, arm, Of::norm, dropout, name);
}

/// The share of dropout with which an arm was best on the held-back samples.
double best_dropout(const std::vector<RatePoint>& points, const std::string& arm) {
  double best = 0, highest = -2;
  for (const RatePoint& point : points) {
    if (point.arm != arm || point.at != at(Of::norm, point.at.front().second)) continue;
    if (point.validation <= highest) continue;
    highest = point.validation;
    best = point.at.front().second;
  }
  return best;
}

/// What an arm's best dropout adds to its accuracy without any, seed by seed.
std::vector<double> gains(const std::vector<RatePoint>& points, const std::vector<Result>& results,
                          const std::string& arm) {
  return differences(values(results, arm, best_dropout(points, arm), "accuracy"),
                     values(results, arm, 0, "accuracy"));
}

/// The share of dropout, above 0, that is best on top of batch norm, as far as held-back samples
/// tell: of the sum over both arms, which is the same where they are exchanged. The other arm has
/// none, whatever the share.
double best_on_top(const Plan& plan, const std::vector<RatePoint>& points) {
  double best = 0, highest = -4;
  for (const double dropout : plan.dropouts) {
    if (dropout == 0) continue;
    double sum = 0;
    for (const RatePoint& point : points) {
      if (point.at == at(Of::dropout, dropout)) sum += point.validation;
    }
    if (sum <= highest) continue;
    highest = sum;
    best = dropout;
  }
  return best;
}

/// What that adds, seed by seed.
std::vector<double> added_on_top(const Plan& plan, const std::vector<RatePoint>& points,
                                 const std::vector<Result>& results) {
  const double dropout = best_on_top(plan, points);
  return differences(values(results, kWith, Of::dropout, dropout, "accuracy"),
                     values(results, kWithout, Of::dropout, dropout, "accuracy"));
}

void check(Session& session, const Plan& plan, const std::vector<RatePoint>& points,
           const std::vector<Result>& results) {
  const auto less = [&](const std::string& name) {
    return differences(values(results, kWithout, 0, name), values(results, kWith, 0, name));
  };
  session.add(check_difference("smaller gap of accuracy between training and test, no dropout",
                               "gap, without − with", less("gap"), 0.005));
  session.add(check_difference("smaller gap of cross-entropy between test and training, no dropout",
                               "gap, without − with", less("loss gap"), 0.01));
  session.add(check_difference(
      "less to gain by dropout", "test accuracy gained by the best dropout, without − with",
      differences(gains(points, results, kWithout), gains(points, results, kWith)), 0.005));
  session.add(check_difference("not enough alone: dropout on top of batch norm still adds accuracy",
                               "test accuracy, with dropout − batch norm alone",
                               added_on_top(plan, points, results), 0.005));
}

Chart gap_chart(const Plan& plan, const std::vector<Result>& results) {
  Chart chart{.id = "gap",
              .title = "Training and test accuracy against dropout",
              .note =
                  "The distance between a dashed line and its solid one is the gap. Means over "
                  "the seeds; bands are 95 % intervals of the mean.",
              .x = {.label = "share of units dropped in training"},
              .y = {.label = "accuracy", .unit = "%"},
              .headline = true};
  int color = 0;
  for (const std::string& arm : {kWith, kWithout}) {
    ChartSeries test, training;
    test.name = name_of(arm) + ", test";
    training.name = name_of(arm) + ", training";
    training.dash = true;
    test.color = training.color = color++;
    for (const double dropout : plan.dropouts) {
      add_point(test, dropout, values(results, arm, dropout, "accuracy"), 100);
      add_point(training, dropout, values(results, arm, dropout, "training accuracy"), 100);
    }
    chart.series.push_back(std::move(test));
    chart.series.push_back(std::move(training));
  }
  return chart;
}

void draw(Session& session, const Plan& plan, const std::vector<Result>& results) {
  session.add(gap_chart(plan, results));
  const auto with = at_point(results, kWith, at(Of::norm, 0));
  if (!with.front()->measurement.series.contains("mean, first")) return;  // played by the other arm
  Chart noise{.id = "noise",
              .title = "Noise of a batch's mean and deviation",
              .note =
                  "Standard deviation from batch to batch, in units of the deviation σ over all "
                  "samples, in the first and the last batch norm; means over channels and "
                  "seeds. Dashed: 1/√m, that of the mean of m independent values. What enters "
                  "the last batch norm was centred by the first one in the same batch.",
              .x = {.label = "batch size m", .scale = Scale::log},
              .y = {.label = "noise / σ", .scale = Scale::log}};
  for (const char* const name :
       {"mean, first", "deviation, first", "mean, last", "deviation, last"}) {
    noise.series.push_back(mean_curve(name, with, name));
  }
  ChartSeries theory;
  theory.name = "1/√m";
  theory.dash = true;
  theory.x = noise.series.front().x;
  for (const double size : theory.x) theory.y.push_back(1 / std::sqrt(size));
  noise.series.push_back(std::move(theory));
  session.add(std::move(noise));
}

DataTable table_of(const Plan& plan, const std::vector<RatePoint>& points,
                   const std::vector<Result>& results) {
  DataTable table{"Accuracy and gaps: mean (95 % interval)",
                  {"", "best rate", "test", "training", "gap", "gap of cross-entropy"}};
  std::size_t i = 0;
  for (const std::string& arm : {kWith, kWithout}) {
    for (const double dropout : plan.dropouts) {
      const auto percent = [&](const std::string& name) {
        return percent_text(interval_of(values(results, arm, dropout, name)));
      };
      table.rows.push_back({fmt::format("{}, dropout {:g}", name_of(arm), dropout),
                            fmt::format("{:g}", points[i++].rate), percent("accuracy"),
                            percent("training accuracy"), percent("gap"),
                            interval_text(interval_of(values(results, arm, dropout, "loss gap")))});
    }
  }
  return table;
}

std::vector<std::string> setup(const Session& session, const Plan& plan) {
  return {
      fmt::format(
          "A fully connected network ({} units, ReLU) and {} training samples, few enough to be "
          "learned by heart; {} steps with batches of {}, momentum 0.9, cosine schedule. Dropout "
          "behind each ReLU, with shares from {:g} to {:g}.",
          fmt::join(plan.widths, " and "), plan.material.splits.train.size(), plan.steps,
          plan.batch_size, plan.dropouts.front(), plan.dropouts.back()),
      fmt::format(
          "Each arm has, for each share of dropout, the best of {} learning rates, chosen on "
          "held-back samples after as many steps with another seed, and so is the share that "
          "counts as its best; then {} seeds each. Both accuracies are taken in eval mode.",
          plan.rates.size(), session.seeds()),
      "What is asked of batch norm is asked with as much dropout in both arms. Whether batch norm "
      "is "
      "enough alone is asked of dropout, with batch norm in both: the share above 0 that is best "
      "on "
      "top of it on held-back samples, against none.",
      fmt::format("The noise is that of the trained networks without dropout in training mode, at "
                  "every size over {} batches whose samples are drawn from the training part with "
                  "replacement.",
                  kNoiseBatches)};
}

std::string points_text(const std::vector<double>& values) {
  const Interval interval = interval_of(values);
  return fmt::format("{:.1f} points ({:.1f} to {:.1f})", 100 * interval.mean, 100 * interval.lo,
                     100 * interval.hi);
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<RatePoint> points = points_of(plan);
  session.expect(cost_of(session, points, plan.rates.size()));
  const Measure measure = measure_with(plan);
  find_rates(session, points, plan.rates, measure);
  const std::vector<Result> results = session.measure(final_cells(session, points), measure);
  session.describe(setup(session, plan));
  check(session, plan, points, results);
  draw(session, plan, results);
  session.add(table_of(plan, points, results));
  session.conclude(fmt::format(
      "Without dropout, training and test accuracy lay {} apart with batch norm and {} without; "
      "the best dropout added {} with batch norm and {} without.",
      points_text(values(results, kWith, 0, "gap")),
      points_text(values(results, kWithout, 0, "gap")), points_text(gains(points, results, kWith)),
      points_text(gains(points, results, kWithout))));
}

}  // namespace

Experiment regularization() {
  return {
      .name = "regularization",
      .title = "A mild regularizer",
      .claim =
          "Batch norm regularizes a little, so that less dropout is needed, but it is not enough "
          "alone.",
      .source =
          "Ioffe and Szegedy 2015, sections 3.4 and 4.2.1, "
          "https://arxiv.org/abs/1502.03167; Luo et al. 2019, "
          "https://arxiv.org/abs/1809.00846",
      .question =
          "Where a network overfits, how far are training and test apart with batch norm, with "
          "dropout, with both and with neither, and how large is the noise that a batch's "
          "statistics bring?",
      .supports =
          "With batch norm a smaller gap of accuracy and of cross-entropy, and less "
          "accuracy to be gained by dropout; and still some to be gained by dropout on top of it: "
          "two of these four, and the opposite of none.",
      .contradicts =
          "A larger gap with batch norm, more to gain by dropout with it than without, or accuracy "
          "that dropout on top of it costs. Where it makes no difference, or there is nothing to "
          "gain, a check stays unclear.",
      .practice =
          {"Do not count on batch norm as the only regularizer: where data are few, dropout, "
           "weight decay or augmentation still help on top of it; choose their strength anew "
           "once batch norm is in.",
           "The noise falls with the square root of the batch size, so large batches regularize "
           "less; ghost batches bring it back."},
      .needs = Needs::features,
      .contrast = {kWith, kWithout},
      .quick_seconds = 30,
      .full_seconds = 900,
      .run = run};
}

}  // namespace evenkeel::lab
