// Less internal covariate shift: figure 1(b, c) of the original paper, in numbers.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/paper_trial.h"
#include "lab/rates.h"
#include "lab/session.h"
#include "lab/trial.h"
#include "lab/unit_drift.h"

namespace evenkeel::lab {
namespace {

const std::string kWith = "with batch norm";
const std::string kWithout = "without";

struct Plan {
  Material material;
  data::Dataset probe;
  std::vector<double> rates;
  PaperSteps steps;
  std::int64_t every;
};

Plan plan_of(const Session& session) {
  Plan plan{
      .material = session.material().limited(session.pick<std::int64_t>(6000, 0, 400),
                                             session.pick<std::int64_t>(600, 5000, 100),
                                             session.pick<std::int64_t>(1000, 0, 200)),
      .probe = {},
      .rates = session.pick<std::vector<double>>({0.1, 0.3, 1, 3}, {0.1, 0.3, 1, 3}, {0.1, 0.3}),
      .steps = session.pick<PaperSteps>({2000, 2000}, {10'000, 50'000}, {40, 40}),
      .every = session.pick<std::int64_t>(50, 500, 10)};
  const data::Dataset& test = plan.material.splits.test;
  plan.probe = test.slice(0, std::min(test.size(), session.pick<std::int64_t>(500, 2000, 100)));
  return plan;
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const bool tuning = cell.stage == "tune";
    Trial trial = paper_trial(plan.material, cell.arm == kWith, cell, plan.steps);
    trial.fuse = false;  // the probe looks between batch norm and sigmoid
    UnitDrift drift(plan.material, plan.probe);
    if (!tuning) {
      trial.hooks.before = [&](std::int64_t step, nn::Module& network, const data::Batch&) {
        if (step % plan.every == 0) drift.look(step, network);
      };
    }
    Measurement measurement = summarize(train(plan.material, trial), cell);
    if (!tuning) drift.report(measurement);
    return measurement;
  };
}

/// Results of both arms under one rule for the rate.
struct Pair {
  std::vector<const Result*> with, without;

  /// Of a ratio above 1, the inputs drift less with batch norm.
  std::vector<double> ratios(const std::string& value) const {
    return log_ratios(values_of(without, value), values_of(with, value));
  }
};

struct Findings {
  std::map<std::string, double> best;
  double common = 0;  ///< the lower of the best rates, which suits both
  std::vector<Result> results;

  Pair at_best() const { return {at(kWith, best.at(kWith)), at(kWithout, best.at(kWithout))}; }
  Pair at_common() const { return {at(kWith, common), at(kWithout, common)}; }
  bool same_best() const { return best.at(kWith) == best.at(kWithout); }

 private:
  std::vector<const Result*> at(const std::string& arm, double rate) const {
    return of_arm_at(results, arm, "rate", rate);
  }
};

Findings measure_all(Session& session, const Plan& plan) {
  const std::vector<std::string> arms{kWith, kWithout};
  const Measure measure = measure_with(plan);
  const double tuning_cost =
      static_cast<double>(plan.steps.tuning) / static_cast<double>(plan.steps.run);
  session.expect(tuning_cost * static_cast<double>(arms.size() * plan.rates.size()) +
                 3.0 * session.seeds());
  Findings findings;
  findings.best =
      best_rates(session, {.arms = arms, .rates = plan.rates, .cost = tuning_cost}, measure);
  findings.common = std::min(findings.best.at(kWith), findings.best.at(kWithout));
  std::vector<Cell> cells = final_cells(session, arms, findings.best);
  for (const std::string& arm : arms) {
    if (findings.best.at(arm) == findings.common) continue;
    const auto more = final_cells(session, {arm}, {{arm, findings.common}});
    cells.insert(cells.end(), more.begin(), more.end());
  }
  findings.results = session.measure(cells, measure);
  return findings;
}

void check(Session& session, const Findings& findings) {
  const auto add = [&](const std::string& text, const Pair& pair, const std::string& value) {
    session.add(check_ratio(text, "drift without / with", pair.ratios(value), 1.2));
  };
  const Pair best = findings.at_best(), common = findings.at_common();
  add("the medians of the sigmoids' inputs drift less, each at its best rate", best, "drift");
  add("their spreads change less", best, "spread");
  add("the same before normalization: medians", best, "before_drift");
  add("the same before normalization: spreads", best, "before_spread");
  if (findings.same_best()) return;  // these are at the same rate
  add("medians drift less at the same learning rate", common, "drift");
  add("before normalization, at the same learning rate", common, "before_drift");
}

/// Median and percentiles 15 and 85 of the typical unit of the first seed.
ChartSeries unit_curve(const std::string& name, const Result& result, const std::string& prefix,
                       int color) {
  const Series& middle = result.series(prefix + "p50");
  return {.name = name,
          .x = middle.x,
          .y = middle.y,
          .lo = result.series(prefix + "p15").y,
          .hi = result.series(prefix + "p85").y,
          .color = color};
}

void draw(Session& session, const Findings& findings) {
  const Pair best = findings.at_best();
  const Result &with = *best.with.front(), &without = *best.without.front();
  const std::string note =
      "One unit of the last hidden layer, the one whose median drifts as much as that of half of "
      "the units, on the same samples throughout. Lines: medians; bands: 15th to 85th percentile.";
  session.add(
      Chart{.id = "unit",
            .title = "What a sigmoid of the last hidden layer gets during training",
            .note = note,
            .x = {.label = "training steps"},
            .y = {.label = "input of the sigmoid"},
            .headline = true,
            .series = {unit_curve(kWith, with, "", 0), unit_curve(kWithout, without, "", 1)}});
  session.add(Chart{.id = "before",
                    .title = "The same unit before its normalization",
                    .note = note,
                    .x = {.label = "training steps"},
                    .y = {.label = "output of the linear layer"},
                    .series = {unit_curve(kWith + ", before it", with, "before_", 0),
                               unit_curve(kWithout, without, "before_", 1)}});
  session.add(Chart{
      .id = "drift",
      .title = "How fast the medians of all units move",
      .note = "Between two looks, in units of half the distance between percentiles 15 and 85, per "
              "100 steps. Means over units and seeds; bands are 95 % intervals.",
      .x = {.label = "training steps"},
      .y = {.label = "drift", .unit = "spreads / 100 steps", .scale = Scale::log},
      .series = {mean_curve("with, behind batch norm", best.with, "drift"),
                 mean_curve("with, before batch norm", best.with, "before_drift"),
                 mean_curve(kWithout, best.without, "drift")}});
}

void tabulate(Session& session, const Findings& findings) {
  DataTable table{"Per 100 steps: drift of the median in spreads, |ln| of the spread's change",
                  {"", "rate", "drift", "spread", "drift before", "spread before", "accuracy"}};
  const auto add = [&](const std::string& arm, const std::vector<const Result*>& results) {
    std::vector<std::string> row{arm, fmt::format("{:g}", results.front()->cell.where("rate"))};
    for (const std::string value : {"drift", "spread", "before_drift", "before_spread"}) {
      row.push_back(interval_text(interval_of(values_of(results, value))));
    }
    row.push_back(percent_text(interval_of(values_of(results, "accuracy"))));
    table.rows.push_back(row);
  };
  const Pair best = findings.at_best(), common = findings.at_common();
  add(kWith, best.with);
  add(kWithout, best.without);
  if (!findings.same_best()) {
    add(kWith + ", the same rate", common.with);
    add(kWithout + ", the same rate", common.without);
  }
  session.add(table);
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const Findings findings = measure_all(session, plan);
  check(session, findings);
  session.describe(
      {fmt::format("The paper's network: three hidden layers of 100 sigmoid units, batches of 60, "
                   "plain gradient descent, {} steps, each arm at the best of {} learning rates "
                   "(chosen after {} steps with another seed), {} seeds; then both at the lower of "
                   "the two rates.",
                   plan.steps.run, plan.rates.size(), plan.steps.tuning, session.seeds()),
       fmt::format("Every {} steps a copy of the network gets the same {} test samples, as a batch "
                   "in training mode. For each unit of the last hidden layer percentiles 15, 50 "
                   "and 85 are taken of the sigmoid's input and, with batch norm, of what comes "
                   "before it. Drift is how far the median has moved since the last look, in units "
                   "of half the distance between the other two; spread, the logarithm of how that "
                   "distance changed; means over units, and of those geometric means over the run.",
                   plan.every, plan.probe.size())});
  draw(session, findings);
  tabulate(session, findings);
  const Pair best = findings.at_best(), common = findings.at_common();
  const auto ratio = [](const Pair& pair, const std::string& value) {
    return short_text(std::exp(mean_of(pair.ratios(value))));
  };
  const std::string at_common =
      findings.same_best() ? " (which is the same)"
                           : fmt::format("; at the same rate {} and {} times",
                                         ratio(common, "drift"), ratio(common, "before_drift"));
  session.conclude(fmt::format(
      "Without batch norm the medians of the sigmoids' inputs drifted {} times as much as behind "
      "batch norm, and {} times as much as before it, each arm at its best rate{}; their spreads "
      "changed {} and {} times as much.",
      ratio(best, "drift"), ratio(best, "before_drift"), at_common, ratio(best, "spread"),
      ratio(best, "before_spread")));
}

}  // namespace

Experiment covariate_shift() {
  return {.name = "covariate-shift",
          .title = "Internal covariate shift",
          .claim =
              "Batch normalization keeps the distributions of the inputs of inner layers "
              "steady while the layers before them learn.",
          .source =
              "Ioffe and Szegedy 2015, section 4.1 and figure 1(b, c), "
              "https://arxiv.org/abs/1502.03167; doubted by Santurkar et al. 2018, section "
              "2.2, https://arxiv.org/abs/1805.11604",
          .question =
              "How far do the distributions of the last hidden layer's inputs move during "
              "training, in units of their spread, with and without batch norm?",
          .supports =
              "With batch norm medians that drift less and spreads that change less, behind the "
              "normalization and before it, each arm at its best learning rate; and medians that "
              "drift less with both at the same rate.",
          .contradicts =
              "Medians that drift more with batch norm, or spreads that change more, by a fifth or "
              "more. As much drift leaves a check unclear.",
          .practice =
              {"Take batch norm for what it does to training, not as a cure of shifting inputs: "
               "later work found that it trains better even where shift is put back in.",
               "A layer whose statistics still move fast late in training has running averages "
               "that lag behind; lower the rate at the end, or take them anew (recalibrate)."},
          .needs = Needs::features,
          .contrast = {kWith, kWithout},
          .quick_seconds = 28,
          .full_seconds = 600,
          .run = run};
}

}  // namespace evenkeel::lab
