// What depends on ε, the momentum of the running averages, and where γ and β begin.

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/knobs.h"
#include "lab/experiments/rows.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/shared_runs.h"
#include "lab/trial.h"

namespace evenkeel::lab {
namespace {

const std::string kDefault = "defaults";
const std::string kMoved = "moved";
constexpr double kMatters = 0.005;  // of accuracy

struct Plan {
  Material material;
  Knobs knobs;
  std::vector<double> rates;
  std::uint64_t tuning_seeds;
  std::int64_t steps, batch_size;
  std::vector<std::int64_t> widths;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(6000, 0, 200),
                                     session.pick<std::int64_t>(1000, 5000, 60),
                                     session.pick<std::int64_t>(2000, 0, 60)),
          knobs_for(session),
          session.pick<std::vector<double>>({0.03, 0.1, 0.3}, {0.01, 0.03, 0.1, 0.3, 1}, {0.1}),
          session.pick<std::uint64_t>(3, 3, 1),
          session.pick<std::int64_t>(250, 2000, 10),
          64,
          session.pick<std::vector<std::int64_t>>({128, 64}, {128, 64}, {16, 16})};
}

Measurement measure_one(const Plan& plan, const Cell& cell, std::size_t knob, double value) {
  const bool tuning = cell.stage == "tune";
  const data::Dataset& part = tuning ? plan.material.splits.validation : plan.material.splits.test;
  Trial trial;
  trial.network = network_with(plan.material, plan.widths, knob, value);
  trial.seed = cell.seed;
  trial.steps = plan.steps;
  trial.batch_size = plan.batch_size;
  trial.rate = cell.where("rate");
  trial.schedule = "cosine";
  trial.watched = &part;
  const Trained trained = train(plan.material, trial);
  Measurement result = summarize(trained, cell);
  result.series.clear();
  if (tuning) return result;
  train::EvalOptions by_batch;
  by_batch.batch_size = plan.batch_size;
  by_batch.mode = train::EvalMode::train;
  const double other =
      accuracy_on(*trained.network, plan.material, part, Layout::channels_first, by_batch);
  result.values["in training mode"] = trained.diverged ? trained.chance : other;
  result.values["gap"] = result.values["in training mode"] - result.values["accuracy"];
  return result;
}

Measure measure_with(const Plan& plan) {
  return [&plan, runs = std::make_shared<SharedRuns>()](const Cell& cell) {
    if (cell.arm == kDefault) {  // the same runs beside every value that is compared
      return runs->measure(cell, "",
                           [&] { return measure_one(plan, cell, kEps, plan.knobs[kEps].usual); });
    }
    return measure_one(plan, cell, static_cast<std::size_t>(cell.where("knob")),
                       cell.where("value"));
  };
}

std::vector<RatePoint> points_of(const Plan& plan) {
  std::vector<RatePoint> points;
  for (std::size_t k = 0; k < plan.knobs.size(); ++k) {
    const Knob& knob = plan.knobs[k];
    const auto add = [&](const std::string& arm, double value, double cost) {
      points.push_back(
          {.arm = arm, .at = {{"knob", static_cast<double>(k)}, {"value", value}}, .cost = cost});
    };
    for (const double value : {knob.low, knob.high}) add(kDefault, value, 0.15);
    for (const double value : knob.values) add(kMoved, value, 1);
  }
  return points;
}

std::vector<double> values(const std::vector<Result>& results, const std::string& arm,
                           std::size_t knob, double value, const std::string& name) {
  return values_of(at_point(results, arm, {{"knob", static_cast<double>(knob)}, {"value", value}}),
                   name);
}

/// Of the default where it stands, else of the moved knob.
std::vector<double> swept(const Plan& plan, const std::vector<Result>& results, std::size_t knob,
                          double value, const std::string& name) {
  const Knob& one = plan.knobs[knob];
  return value == one.usual ? values(results, kDefault, knob, one.low, name)
                            : values(results, kMoved, knob, value, name);
}

std::vector<double> sweep_of(const Knob& knob) {
  std::vector<double> all = knob.values;
  all.push_back(knob.usual);
  std::ranges::sort(all);
  return all;
}

/// What moving the knob to one of its compared values costs, seed by seed.
std::vector<double> cost_of_moving(const std::vector<Result>& results, std::size_t k,
                                   double value) {
  return differences(values(results, kDefault, k, value, "accuracy"),
                     values(results, kMoved, k, value, "accuracy"));
}

/// The values around the default whose accuracy is within kMatters of it, without a gap.
std::pair<double, double> safe_range(const Plan& plan, const std::vector<Result>& results,
                                     std::size_t k) {
  const Knob& knob = plan.knobs[k];
  const std::vector<double> all = sweep_of(knob);
  const auto mean = [&](double value) {
    return mean_of(swept(plan, results, k, value, "accuracy"));
  };
  const double floor = mean(knob.usual) - kMatters;
  const auto middle = std::ranges::find(all, knob.usual);
  auto last = middle, first = middle;
  while (last + 1 != all.end() && mean(*(last + 1)) >= floor) ++last;
  while (first != all.begin() && mean(*(first - 1)) >= floor) --first;
  return {*first, *last};
}

ChartSeries curve(const Plan& plan, const std::vector<Result>& results, std::size_t k,
                  const std::string& name, bool factor) {
  const Knob& knob = plan.knobs[k];
  ChartSeries series;
  series.name = knob.name;
  series.color = static_cast<int>(k);
  for (const double value : sweep_of(knob)) {
    add_point(series, factor ? value / knob.usual : value, swept(plan, results, k, value, name),
              100);
  }
  return series;
}

/// Where the safe ranges end.
ChartSeries floor_of(const Plan& plan, const std::vector<Result>& results,
                     const std::vector<double>& x) {
  const double floor =
      mean_of(swept(plan, results, kEps, plan.knobs[kEps].usual, "accuracy")) - kMatters;
  return {.name = fmt::format("{:g} points below the defaults", 100 * kMatters),
          .x = x,
          .y = std::vector<double>(x.size(), 100 * floor),
          .dash = true,
          .color = 7};
}

void draw(Session& session, const Plan& plan, const std::vector<Result>& results) {
  const std::string note = "Means over the seeds; bands are 95 % intervals of the mean.";
  const Axis factor{.label = "value / default", .scale = Scale::log};
  Chart accuracy{.id = "accuracy",
                 .title = "Test accuracy with ε, momentum and initial γ off their defaults",
                 .note = note,
                 .x = factor,
                 .y = {.label = "test accuracy", .unit = "%"},
                 .headline = true};
  Chart gap{.id = "gap",
            .title = "Accuracy in training mode less that in eval mode",
            .note = note,
            .x = factor,
            .y = {.label = "difference of test accuracy", .unit = "points"}};
  double low = 1, high = 1;
  for (const std::size_t k : {kEps, kMomentum, kGamma}) {
    accuracy.series.push_back(curve(plan, results, k, "accuracy", true));
    gap.series.push_back(curve(plan, results, k, "gap", true));
    low = std::min(low, accuracy.series.back().x.front());
    high = std::max(high, accuracy.series.back().x.back());
  }
  accuracy.series.push_back(floor_of(plan, results, {low, high}));
  Chart beta{.id = "beta",
             .title = "Test accuracy against the initial β",
             .note = note,
             .x = {.label = "initial β"},
             .y = {.label = "test accuracy", .unit = "%"},
             .series = {curve(plan, results, kBeta, "accuracy", false)}};
  const ChartSeries& line = beta.series.front();
  beta.series.push_back(floor_of(plan, results, {line.x.front(), line.x.back()}));
  session.add(std::move(accuracy));
  session.add(std::move(beta));
  session.add(std::move(gap));
}

DataTable table_of(const Plan& plan, const std::vector<RatePoint>& points,
                   const std::vector<Result>& results) {
  DataTable table{"Every value tried: mean (95 % interval)",
                  {"", "best rate", "eval mode", "training mode"}};
  for (const RatePoint& point : points) {
    const auto k = static_cast<std::size_t>(point.at[0].second);
    const double value = point.at[1].second;
    const bool usual = point.arm == kDefault;
    if (usual && !table.rows.empty()) continue;  // the same runs for every knob
    const auto text = [&](const std::string& name) {
      return percent_text(interval_of(values(results, point.arm, k, value, name)));
    };
    table.rows.push_back({usual ? kDefault : fmt::format("{} {:g}", plan.knobs[k].name, value),
                          fmt::format("{:g}", point.rate), text("accuracy"),
                          text("in training mode")});
  }
  return table;
}

DataTable range_table(const Plan& plan, const std::vector<Result>& results) {
  DataTable table{fmt::format("Safe ranges: tried values around the default that cost less than "
                              "{:g} points",
                              100 * kMatters),
                  {"", "default", "from", "to"}};
  for (std::size_t k = 0; k < plan.knobs.size(); ++k) {
    const auto [from, to] = safe_range(plan, results, k);
    table.rows.push_back({plan.knobs[k].name, fmt::format("{:g}", plan.knobs[k].usual),
                          fmt::format("{:g}", from), fmt::format("{:g}", to)});
  }
  return table;
}

std::vector<std::string> setup(const Session& session, const Plan& plan) {
  return {
      fmt::format(
          "A fully connected network ({} units; linear map, batch norm, ReLU); {} steps with "
          "batches of {}, momentum of the descent 0.9, cosine schedule. One of the four is "
          "moved in every batch norm, the others keep their defaults: ε 1e-5, momentum of "
          "the running averages 0.1 (the weight of the new batch), γ 1, β 0.",
          fmt::join(plan.widths, " and "), plan.steps, plan.batch_size),
      fmt::format(
          "Every value has the best of {} learning rates, chosen on held-back samples after as "
          "many steps with other seeds ({}); then {} seeds each, the same ones for all.",
          plan.rates.size(), plan.tuning_seeds, session.seeds()),
      "The checks compare the defaults with a decade less and with a decade more (β: with one less "
      "and with one more), each value by itself."};
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<RatePoint> points = points_of(plan);
  session.expect(cost_of(session, points, plan.rates.size() * plan.tuning_seeds));
  const Measure measure = measure_with(plan);
  find_rates(session, points, plan.rates, measure, plan.tuning_seeds);
  const std::vector<Result> results = session.measure(final_cells(session, points), measure);
  session.describe(setup(session, plan));
  std::vector<std::string> costs;
  for (std::size_t k = 0; k < plan.knobs.size(); ++k) {
    const Knob& knob = plan.knobs[k];
    const auto check = [&](double value) {
      const std::vector<double> cost = cost_of_moving(results, k, value);
      session.add(check_difference(fmt::format("{} {:g} costs accuracy", knob.name, value),
                                   "accuracy, default − moved", cost, kMatters));
      return 100 * mean_of(cost);
    };
    const double low = check(knob.low), high = check(knob.high);
    costs.push_back(
        fmt::format("{} {:g}: {:.1f}, {:g}: {:.1f}", knob.name, knob.low, low, knob.high, high));
  }
  draw(session, plan, results);
  session.add(range_table(plan, results));
  session.add(table_of(plan, points, results));
  session.conclude(fmt::format("What values off the default cost in points of accuracy: {}.",
                               fmt::join(costs, "; ")));
}

}  // namespace

Experiment hyper_parameters() {
  return {
      .name = "hyper-parameters",
      .title = "Batch norm's own hyper-parameters",
      .claim =
          "ε, momentum and the initial γ and β need tuning: moving them off their defaults "
          "costs accuracy.",
      .source =
          "Ioffe and Szegedy 2015, sections 3 and 3.1, https://arxiv.org/abs/1502.03167; "
          "PyTorch's defaults, https://pytorch.org/docs/stable/generated/"
          "torch.nn.BatchNorm1d.html",
      .question =
          "How far may each of the four be from its default before accuracy suffers, "
          "each time at the best learning rate?",
      .supports =
          "Less accuracy than with the defaults, by half a point or more, for at least half of the "
          "eight values: each of the four a decade below its default and a decade above (β: one "
          "below and one above).",
      .contradicts =
          "Half a point more accuracy than with the defaults at such a value. Where a value has no "
          "effect its check stays unclear: if most have none, the claim is undecided and the safe "
          "ranges are wide.",
      .practice =
          {"Leave ε and the initial β alone; γ = 1 serves but for the last batch norm of a "
           "residual branch, which trains better from γ = 0 (Goyal et al. 2017, section 5.1).",
           "Set the momentum by the length of the run: the running averages need some multiples "
           "of 1/momentum steps before they can be trusted, so short runs and fine-tuning want "
           "a larger one, small batches a smaller one.",
           "Conventions differ: PyTorch's momentum 0.1 is 0.9 in TensorFlow, and ε is 1e-5 in "
           "one and 1e-3 in the other; copy both when weights move between them."},
      .needs = Needs::features,
      .contrast = {kDefault, kMoved},
      .quick_seconds = 30,
      .full_seconds = 1200,
      .run = run};
}

}  // namespace evenkeel::lab
