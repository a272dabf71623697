// Dropout before batch norm or behind it: the shift of variance between training and eval mode.

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/rows.h"
#include "lab/norm_inputs.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/small_nets.h"
#include "lab/trial.h"
#include <evenkeel/deploy/recalibrate.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/dropout.h>

namespace evenkeel::lab {
namespace {

const std::string kBehind = "behind every batch norm";
const std::string kBefore = "before every batch norm";
const std::string kBehindLast = "behind the last batch norm";
const std::string kBeforeLast = "before the last batch norm";
const std::string kNone = "no dropout";

struct Plan {
  Material material;
  std::vector<double> rates, dropouts;
  std::uint64_t tuning_seeds;
  std::int64_t steps, batch_size;
  std::vector<std::int64_t> widths;
};

Plan plan_of(const Session& session) {
  return {
      session.material().limited(session.pick<std::int64_t>(1000, 5000, 100),
                                 session.pick<std::int64_t>(1000, 5000, 60),
                                 session.pick<std::int64_t>(2000, 0, 60)),
      session.pick<std::vector<double>>({0.01, 0.03, 0.1}, {0.003, 0.01, 0.03, 0.1, 0.3}, {0.1}),
      session.pick<std::vector<double>>({0.3, 0.6}, {0.1, 0.3, 0.5, 0.7}, {0.5}),
      session.pick<std::uint64_t>(3, 2, 1),
      session.pick<std::int64_t>(400, 5000, 20),
      session.pick<std::int64_t>(32, 64, 32),
      session.pick<std::vector<std::int64_t>>({128, 128, 128}, {256, 256, 256}, {16, 16, 16})};
}

bool before_norm(const std::string& arm, const Place& place) {
  return arm == kBefore || (arm == kBeforeLast && place.last);
}
bool behind_norm(const std::string& arm, const Place& place) {
  return arm == kBehind || (arm == kBehindLast && place.last);
}

SmallNet net_of(const Plan& plan, const std::string& arm, double dropout) {
  return {
      .widths = plan.widths, .bias = false, .tail = [=](nn::Sequential& net, const Place& place) {
        if (before_norm(arm, place)) net.add(nn::Dropout(dropout));
        net.add(make_batch_norm(place));
        net.add(nn::ReLU());
        if (behind_norm(arm, place)) net.add(nn::Dropout(dropout));
      }};
}

/// Of each batch norm's input, variance in training mode over that in eval mode: the geometric mean
/// over channels. Both over the same samples and the same trained weights.
std::vector<double> variance_ratios(const Plan& plan, const nn::Module& network) {
  const auto observe = [&](train::EvalMode mode) {
    return observe_norms(network, plan.material, plan.material.splits.train,
                         {.batch_size = plan.batch_size, .mode = mode});
  };
  const auto training = observe(train::EvalMode::train), eval = observe(train::EvalMode::eval);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < training.size(); ++i) {
    const auto a = training[i].pooled_variances(), b = eval[i].pooled_variances();
    double logs = 0, channels = 0;
    for (std::size_t c = 0; c < a.size(); ++c) {
      if (!(a[c] > 0 && b[c] > 0)) continue;  // a unit that never fires
      logs += std::log(a[c] / b[c]);
      ++channels;
    }
    ratios.push_back(std::exp(logs / channels));
  }
  return ratios;
}

void add_shift(Measurement& result, const Plan& plan, const Trained& trained) {
  Series& ratios = result.series["variance ratio"];
  ratios.y = trained.diverged ? std::vector<double>(plan.widths.size(), NAN)
                              : variance_ratios(plan, *trained.network);
  for (std::size_t i = 0; i < ratios.y.size(); ++i) ratios.x.push_back(static_cast<double>(i + 1));
  // By what factor the variance is off, up or down: the geometric mean over the batch norms.
  double logs = 0;
  for (const double ratio : ratios.y) logs += std::abs(std::log(ratio));
  result.values["shift"] = std::exp(logs / static_cast<double>(ratios.y.size()));
  result.values["recalibrated"] = trained.chance;
  if (!trained.diverged) {
    // Dropout is off while the statistics are taken anew: they become those of eval mode.
    deploy::recalibrate(*trained.network, plan.material.splits.train, plan.material.normalization);
    result.values["recalibrated"] = accuracy_on(*trained.network, plan.material,
                                                plan.material.splits.test, Layout::channels_first);
  }
  result.values["restored"] = result.values["recalibrated"] - result.values["accuracy"];
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const bool tuning = cell.stage == "tune";
    Trial trial;
    trial.network = builder(plan.material, net_of(plan, cell.arm, cell.where("dropout")));
    trial.seed = cell.seed;
    trial.steps = plan.steps;
    trial.batch_size = plan.batch_size;
    trial.rate = cell.where("rate");
    trial.schedule = "cosine";
    trial.watched = tuning ? &plan.material.splits.validation : &plan.material.splits.test;
    const Trained trained = train(plan.material, trial);
    Measurement result = summarize(trained, cell);
    if (tuning) return result;
    add_shift(result, plan, trained);
    return result;
  };
}

std::vector<double> values(const std::vector<Result>& results, const std::string& arm,
                           double dropout, const std::string& name) {
  return values_of(of_arm_at(results, arm, "dropout", dropout), name);
}

void check(Session& session, const Plan& plan, const std::vector<Result>& results) {
  for (const double dropout : plan.dropouts) {
    const auto compare = [&](const std::string& a, const std::string& b, const std::string& name) {
      return differences(values(results, a, dropout, name), values(results, b, dropout, name));
    };
    session.add(check_ratio(
        fmt::format("dropout {:g}: the variance shifts less if dropout stands behind", dropout),
        "factor between training and eval mode, before / behind",
        log_ratios(values(results, kBefore, dropout, "shift"),
                   values(results, kBehind, dropout, "shift")),
        1.1));
    session.add(check_difference(
        fmt::format("dropout {:g}: higher test accuracy if dropout stands behind", dropout),
        "accuracy, behind − before", compare(kBehind, kBefore, "accuracy"), 0.003));
    session.add(check_difference(
        fmt::format("dropout {:g}: statistics of eval mode restore less, as less is lost", dropout),
        "points gained by recalibration, before − behind", compare(kBefore, kBehind, "restored"),
        0.003));
  }
}

const std::vector<std::string>& dropping_arms() {
  static const std::vector<std::string> all{kBehind, kBefore, kBehindLast, kBeforeLast};
  return all;
}

Chart ratio_chart(const Plan& plan, const std::vector<Result>& results) {
  const double dropout = plan.dropouts.back();
  Chart chart{
      .id = "ratio",
      .title = fmt::format("Variance in training mode / in eval mode, dropout {:g}", dropout),
      .note =
          "Of what enters each batch norm, over the same samples and weights; 1: no "
          "shift. Means over the seeds of geometric means over channels; whiskers: 95 % "
          "intervals.",
      .type = ChartType::bar,
      .x = {.label = "batch norm", .scale = Scale::category},
      .y = {.label = "ratio of variances"},
      .headline = true};
  for (std::size_t i = 0; i < plan.widths.size(); ++i) {
    chart.x.categories.push_back(fmt::format("{}", i + 1));
  }
  for (const std::string& arm : dropping_arms()) {
    ChartSeries series =
        mean_curve(arm, of_arm_at(results, arm, "dropout", dropout), "variance ratio");
    for (double& x : series.x) x -= 1;  // categories count from 0
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Chart accuracy_chart(const Plan& plan, const std::vector<Result>& results, const std::string& id,
                     const std::string& title, const std::string& name) {
  Chart chart{.id = id,
              .title = title,
              .note = "Means over the seeds; bands are 95 % intervals of the mean.",
              .x = {.label = "share of units dropped in training"},
              .y = {.label = "test accuracy", .unit = "%"}};
  for (const std::string& arm : dropping_arms()) {
    ChartSeries series;
    series.name = arm;
    add_point(series, 0, values(results, kNone, 0, name), 100);
    for (const double dropout : plan.dropouts) {
      add_point(series, dropout, values(results, arm, dropout, name), 100);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

DataTable table_of(const std::vector<RatePoint>& points, const std::vector<Result>& results) {
  DataTable table{"Accuracy and variance: mean (95 % interval)",
                  {"", "best rate", "test accuracy", "recalibrated", "shift of the variance"}};
  for (const RatePoint& point : points) {
    const double dropout = point.at.front().second;
    const auto interval = [&](const std::string& name) {
      return interval_of(values(results, point.arm, dropout, name));
    };
    table.rows.push_back({dropout > 0 ? fmt::format("{}, {:g}", point.arm, dropout) : point.arm,
                          fmt::format("{:g}", point.rate), percent_text(interval("accuracy")),
                          percent_text(interval("recalibrated")),
                          interval_text(interval("shift"))});
  }
  return table;
}

std::vector<std::string> setup(const Session& session, const Plan& plan) {
  return {
      fmt::format(
          "A fully connected network ({} units; linear map, batch norm, ReLU) and {} training "
          "samples; {} steps with batches of {}, momentum 0.9, cosine schedule. In every block, "
          "dropout stands either directly before the batch norm or behind the ReLU that follows "
          "it, where the next batch norm meets it through a linear map: as many units of the same "
          "layers in both arms. For comparison, one dropout alone, before and behind the last "
          "batch norm.",
          fmt::join(plan.widths, ", "), plan.material.splits.train.size(), plan.steps,
          plan.batch_size),
      fmt::format("Each arm has, for each share of dropout, the best of {} learning rates, chosen "
                  "on held-back samples after as many steps with other seeds ({}); then {} seeds "
                  "each, the same ones for all.",
                  plan.rates.size(), plan.tuning_seeds, session.seeds()),
      "Recalibrated: running averages taken anew over the training part with dropout off. What "
      "that "
      "restores is what the shift of the variance had cost."};
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<RatePoint> points{{.arm = kNone, .at = {{"dropout", 0}}}};
  for (const std::string& arm : dropping_arms()) {
    for (const double dropout : plan.dropouts) {
      points.push_back({.arm = arm, .at = {{"dropout", dropout}}});
    }
  }
  session.expect(cost_of(session, points, plan.rates.size() * plan.tuning_seeds));
  const Measure measure = measure_with(plan);
  find_rates(session, points, plan.rates, measure, plan.tuning_seeds);
  const std::vector<Result> results = session.measure(final_cells(session, points), measure);
  session.describe(setup(session, plan));
  check(session, plan, results);
  session.add(ratio_chart(plan, results));
  session.add(
      accuracy_chart(plan, results, "accuracy", "Test accuracy against dropout", "accuracy"));
  session.add(accuracy_chart(plan, results, "recalibrated",
                             "The same with running averages taken anew without dropout",
                             "recalibrated"));
  session.add(table_of(points, results));
  const double dropout = plan.dropouts.back();
  const auto percent = [&](const std::string& arm) {
    return fmt::format("{:.1f} %", 100 * mean_of(values(results, arm, dropout, "accuracy")));
  };
  const auto shift = [&](const std::string& arm) {
    return short_text(mean_of(values(results, arm, dropout, "shift")));
  };
  session.conclude(fmt::format(
      "With dropout {:g} before every batch norm, variances differed between the modes by a factor "
      "of {} and the test accuracy was {}; behind every one, {} and {}; one dropout alone gave {} "
      "before the last batch norm and {} behind it.",
      dropout, shift(kBefore), percent(kBefore), shift(kBehind), percent(kBehind),
      percent(kBeforeLast), percent(kBehindLast)));
}

}  // namespace

Experiment dropout_order() {
  return {.name = "dropout-order",
          .title = "Dropout and batch norm",
          .claim =
              "Dropout before batch norm shifts the variance between training and eval mode and "
              "costs accuracy; it belongs behind.",
          .source =
              "Li et al. 2019, Understanding the disharmony between dropout and batch "
              "normalization by variance shift, sections 3 and 4, "
              "https://arxiv.org/abs/1801.05134",
          .question =
              "How much does the variance of what enters each batch norm differ between training "
              "and eval mode, and what does the same dropout cost or bring before and behind?",
          .supports =
              "With dropout before, a larger shift of the variance, a lower accuracy, and "
              "more accuracy that comes back with statistics taken without dropout.",
          .contradicts =
              "With dropout behind, a larger shift of the variance, a lower accuracy, or more that "
              "comes back. As high an accuracy either way leaves a check unclear.",
          .practice =
              {"Place dropout behind the last batch norm, which in most networks means just before "
               "the output layer.",
               "If a trained network has dropout before a batch norm, take its running averages "
               "anew with dropout off (`evenkeel recalibrate`): that costs one pass and no "
               "training."},
          .needs = Needs::features,
          .contrast = {kBehind, kBefore},
          .quick_seconds = 30,
          .full_seconds = 1200,
          .run = run};
}

}  // namespace evenkeel::lab
