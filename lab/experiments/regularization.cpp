// A mild regularizer: what batch norm does to the gap between training and test, beside dropout.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/rows.h"
#include "lab/norm_inputs.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/small_nets.h"
#include "lab/trial.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>

namespace evenkeel::lab {
namespace {

const std::string kWith = "with batch norm";
const std::string kWithout = "without";

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

SmallNet net_of(const Plan& plan, const std::string& arm, double dropout) {
  const bool with = arm == kWith;
  return {.widths = plan.widths,
          .bias = !with,
          .tail = [=](nn::Sequential& network, const Place& place) {
            if (with) network.add(make_batch_norm(place));
            network.add(nn::ReLU());
            if (dropout > 0) network.add(nn::Dropout(dropout));
          }};
}

/// The standard deviation of some values, n in its denominator.
double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

/// How much the mean and the deviation of a batch differ from batch to batch, in units of the
/// deviation over all of them: means over the channels.
std::pair<double, double> noise_of(const NormInputs& inputs) {
  const std::vector<double> variances = inputs.pooled_variances();
  double mean_noise = 0, spread_noise = 0, channels = 0;
  for (std::size_t c = 0; c < variances.size(); ++c) {
    if (!(variances[c] > 0)) continue;
    const double sigma = std::sqrt(variances[c]);
    std::vector<double> means, spreads;
    for (std::size_t b = 0; b < inputs.means.size(); ++b) {
      means.push_back(inputs.means[b][c] / sigma);
      spreads.push_back(std::sqrt(inputs.variances[b][c]) / sigma);
    }
    mean_noise += deviation_of(means);
    spread_noise += deviation_of(spreads);
    ++channels;
  }
  return {mean_noise / channels, spread_noise / channels};
}

/// The noise of the first and the last batch norm against batch size; of a network without any,
/// nothing.
void add_noise(Measurement& result, const Plan& plan, const nn::Module& network) {
  const auto add = [&](const std::string& name, std::int64_t size, double noise) {
    result.series[name].x.push_back(static_cast<double>(size));
    result.series[name].y.push_back(noise);
  };
  for (const std::int64_t size : plan.noise_sizes) {
    if (2 * size > plan.material.splits.train.size()) continue;
    const auto layers = observe_norms(network, plan.material, plan.material.splits.train,
                                      {.batch_size = size, .mode = train::EvalMode::train});
    if (layers.empty()) return;
    const auto [first_mean, first_spread] = noise_of(layers.front());
    const auto [last_mean, last_spread] = noise_of(layers.back());
    add("mean, first", size, first_mean);
    add("deviation, first", size, first_spread);
    add("mean, last", size, last_mean);
    add("deviation, last", size, last_spread);
  }
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const double dropout = cell.where("dropout");
    const bool tuning = cell.stage == "tune";
    const data::Splits& splits = plan.material.splits;
    Trial trial;
    trial.network = builder(plan.material, net_of(plan, cell.arm, dropout));
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
    if (dropout == 0) add_noise(result, plan, *trained.network);
    return result;
  };
}

std::vector<double> values(const std::vector<Result>& results, const std::string& arm,
                           double dropout, const std::string& name) {
  return values_of(of_arm_at(results, arm, "dropout", dropout), name);
}

/// The share of dropout with which an arm was best on the held-back samples.
double best_dropout(const std::vector<RatePoint>& points, const std::string& arm) {
  double best = 0, highest = -2;
  for (const RatePoint& point : points) {
    if (point.arm != arm || point.validation <= highest) continue;
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

void check(Session& session, const std::vector<RatePoint>& points,
           const std::vector<Result>& results) {
  const auto less = [&](const std::string& name) {
    return differences(values(results, kWithout, 0, name), values(results, kWith, 0, name));
  };
  session.add(check_difference("smaller gap of accuracy between training and test, no dropout",
                               "gap, without − with", less("gap"), 0.005));
  session.add(check_difference("smaller gap of cross-entropy between test and training, no dropout",
                               "gap, without − with", less("loss gap"), 0.01));
  session.add(check_difference(
      "less to gain by dropout",
      "points of test accuracy gained by the best dropout, without − with",
      differences(gains(points, results, kWithout), gains(points, results, kWith)), 0.005));
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
    test.name = arm + ", test";
    training.name = arm + ", training";
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
  const auto with = of_arm_at(results, kWith, "dropout", 0);
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
      table.rows.push_back({fmt::format("{}, dropout {:g}", arm, dropout),
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
      "The noise is that of the trained networks without dropout, over batches of the training "
      "part "
      "in training mode."};
}

std::string points_text(const std::vector<double>& values) {
  const Interval interval = interval_of(values);
  return fmt::format("{:.1f} points ({:.1f} to {:.1f})", 100 * interval.mean, 100 * interval.lo,
                     100 * interval.hi);
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<RatePoint> points;
  for (const std::string& arm : {kWith, kWithout}) {
    for (const double dropout : plan.dropouts) {
      points.push_back({.arm = arm, .at = {{"dropout", dropout}}});
    }
  }
  session.expect(cost_of(session, points, plan.rates.size()));
  const Measure measure = measure_with(plan);
  find_rates(session, points, plan.rates, measure);
  const std::vector<Result> results = session.measure(final_cells(session, points), measure);
  session.describe(setup(session, plan));
  check(session, points, results);
  draw(session, plan, results);
  session.add(table_of(plan, points, results));
  session.conclude(fmt::format(
      "Without dropout, training and test accuracy lay {} apart with batch norm and {} without; "
      "the "
      "best dropout added {} with batch norm and {} without.",
      points_text(values(results, kWith, 0, "gap")),
      points_text(values(results, kWithout, 0, "gap")), points_text(gains(points, results, kWith)),
      points_text(gains(points, results, kWithout))));
}

}  // namespace

Experiment regularization() {
  return {
      .name = "regularization",
      .title = "A mild regularizer",
      .claim = "Batch norm regularizes a little, so that less dropout is needed.",
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
          "accuracy to be gained by dropout.",
      .contradicts = "As large a gap with batch norm, or as much to gain by dropout.",
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
