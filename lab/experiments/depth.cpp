// Deeper networks: plain nets of 4 to 64 layers, and their gradients before the first step.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/networks.h"
#include "lab/points.h"
#include "lab/trial.h"
#include <evenkeel/train/gradient_norms.h>

namespace evenkeel::lab {
namespace {

const std::vector<std::string> kArms{"with batch norm", "without"};  // their numbers: 0 and 1

/// How the weights are drawn.
struct Drawing {
  std::string name;
  bool he;
};
const std::vector<Drawing> kDrawings{{"default weights", false}, {"He weights", true}};

struct Plan {
  Material material;
  std::vector<std::int64_t> depths;  ///< hidden layers
  std::vector<double> rates;
  std::int64_t width, steps;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(6000, 0, 400),
                                     session.pick<std::int64_t>(500, 5000, 100),
                                     session.pick<std::int64_t>(1000, 0, 100)),
          session.pick<std::vector<std::int64_t>>({4, 8, 16, 32, 64}, {4, 8, 16, 24, 32, 48, 64},
                                                  {2, 4}),
          session.pick<std::vector<double>>({0.001, 0.003, 0.01, 0.03, 0.1},
                                            {0.0003, 0.001, 0.003, 0.01, 0.03, 0.1}, {0.01, 0.1}),
          session.pick<std::int64_t>(32, 64, 16), session.pick<std::int64_t>(450, 10'000, 10)};
}

/// The L2 norm of the gradient of each weight between hidden layers, all of one size; x counts
/// hidden layers from 1, so that it begins with 2.
Series gradients_between(nn::Module& network) {
  const std::vector<nn::NamedParameter> parameters = network.parameters();
  const std::vector<train::GradientNorm> all = train::gradient_norms(network);  // in their order
  Series norms;
  double layer = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (parameters[i].parameter->kind != nn::ParameterKind::weight) continue;
    if (++layer < 2) continue;  // the input's
    norms.x.push_back(layer);
    norms.y.push_back(all[i].gradient);
  }
  norms.x.pop_back();  // of the output layer
  norms.y.pop_back();
  return norms;
}

/// About the smallest float: what a gradient of zero counts as.
constexpr double kLeast = 1e-45;

/// Decades between the largest and the smallest of them.
double spread_of(const Series& norms) {
  if (norms.y.empty()) return NAN;  // not even the first loss was finite
  const auto [least, largest] = std::ranges::minmax(norms.y);
  return std::log10(std::max(largest, kLeast) / std::max(least, kLeast));
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const auto depth = static_cast<std::size_t>(cell.where("layers"));
    PlainNet net{.widths = std::vector<std::int64_t>(depth, plan.width)};
    if (cell.arm == kArms[0]) net.norm = model::Placement::before;
    Trial trial;
    trial.network = [&](std::uint64_t seed) {
      auto network = build(plan.material, net, seed);
      if (cell.where("he") != 0) draw_weights(*network, nn::init::Nonlinearity::relu, seed);
      return network;
    };
    trial.seed = cell.seed;
    trial.batch_size = 64;
    trial.rate = cell.where("rate");
    trial.steps = plan.steps;
    trial.watched =
        cell.stage == "tune" ? &plan.material.splits.validation : &plan.material.splits.test;
    Series norms;
    trial.hooks.gradients = [&](std::int64_t step, nn::Module& network, const data::Batch&) {
      if (step == 0) norms = gradients_between(network);
    };
    Measurement measurement = summarize(train(plan.material, trial), cell);
    measurement.values["gradient spread"] = spread_of(norms);
    measurement.series["gradient"] = std::move(norms);
    return measurement;
  };
}

/// The depths once for each way to draw weights. Time grows with the depth.
PointSearch search_of(const Plan& plan) {
  PointSearch search{.arms = kArms, .rates = plan.rates};
  for (const Drawing& drawing : kDrawings) {
    for (const std::int64_t depth : plan.depths) {
      search.points.push_back({fmt::format("{}, {} layers", drawing.name, depth),
                               {{"layers", static_cast<double>(depth)}, {"he", drawing.he ? 1 : 0}},
                               static_cast<double>(8 + depth)});
    }
  }
  return search;
}

std::size_t point(const Plan& plan, std::size_t drawing, std::size_t depth) {
  return drawing * plan.depths.size() + depth;
}

void add_checks(Session& session, const Plan& plan, const PointResults& results) {
  const std::size_t deepest = plan.depths.size() - 1;
  for (std::size_t drawing = 0; drawing < kDrawings.size(); ++drawing) {
    for (std::size_t depth = 0; depth <= deepest; ++depth) {
      if (plan.depths[depth] < 16 && depth != deepest) continue;
      const std::size_t at = point(plan, drawing, depth);
      session.add(check_difference(
          fmt::format("higher accuracy with {} layers, {}", plan.depths[depth],
                      kDrawings[drawing].name),
          "points, with − without",
          points_between(results.values(0, at, "accuracy"), results.values(1, at, "accuracy")), 2));
    }
    const std::size_t at = point(plan, drawing, deepest);
    session.add(
        check_difference(fmt::format("gradients of more equal size over {} layers at the start, {}",
                                     plan.depths[deepest], kDrawings[drawing].name),
                         "decades from the smallest to the largest, without − with",
                         differences(results.values(1, at, "gradient spread"),
                                     results.values(0, at, "gradient spread")),
                         0.5));
  }
}

Chart accuracy_chart(const Plan& plan, const PointResults& results) {
  Chart chart{.id = "accuracy",
              .title = "Test accuracy against depth",
              .note =
                  "Each point at its own best learning rate; means over the seeds with 95 % "
                  "intervals.",
              .x = {.label = "hidden layers", .scale = Scale::log},
              .y = {.label = "test accuracy", .unit = "%"},
              .headline = true};
  for (std::size_t drawing = 0; drawing < kDrawings.size(); ++drawing) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      ChartSeries series;
      series.name = fmt::format("{}, {}", kArms[arm], kDrawings[drawing].name);
      series.dash = kDrawings[drawing].he;
      series.color = static_cast<int>(arm);
      for (std::size_t depth = 0; depth < plan.depths.size(); ++depth) {
        add_point(series, static_cast<double>(plan.depths[depth]),
                  results.values(arm, point(plan, drawing, depth), "accuracy"), 100);
      }
      chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

/// Geometric means over the seeds: the norms lie decades apart.
ChartSeries gradient_curve(const std::string& name, const std::vector<const Result*>& results) {
  ChartSeries series;
  series.name = name;
  const Series& first = results.front()->series("gradient");
  for (std::size_t i = 0; i < first.x.size(); ++i) {
    std::vector<double> logs;
    for (const Result* result : results) {
      const std::vector<double>& norms = result->series("gradient").y;
      logs.push_back(i < norms.size() ? std::log(std::max(norms[i], kLeast)) : NAN);
    }
    const Interval interval = interval_of(logs);
    series.x.push_back(first.x[i]);
    series.y.push_back(std::exp(interval.mean));
    series.lo.push_back(std::exp(interval.lo));
    series.hi.push_back(std::exp(interval.hi));
  }
  return series;
}

Chart gradient_chart(const Plan& plan, const PointResults& results) {
  const std::size_t deepest = plan.depths.size() - 1;
  Chart chart{.id = "gradient",
              .title = fmt::format("Gradient of each layer's weights before the first step, {} "
                                   "layers",
                                   plan.depths[deepest]),
              .note =
                  "L2 norms; geometric means over the seeds with 95 % intervals. A level line "
                  "would neither vanish nor explode; the loss is behind the last layer.",
              .x = {.label = "layer, counted from the input"},
              .y = {.label = "norm of the gradient", .scale = Scale::log}};
  for (std::size_t drawing = 0; drawing < kDrawings.size(); ++drawing) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      chart.series.push_back(
          gradient_curve(fmt::format("{}, {}", kArms[arm], kDrawings[drawing].name),
                         results.at(arm, point(plan, drawing, deepest))));
      chart.series.back().dash = kDrawings[drawing].he;
      chart.series.back().color = static_cast<int>(arm);
    }
  }
  return chart;
}

DataTable table_of(const Plan& plan, const PointResults& results, const std::string& title,
                   const std::string& value, std::string (*text)(const Interval&)) {
  DataTable table{.title = title, .columns = {""}};
  for (const std::int64_t depth : plan.depths) {
    table.columns.push_back(fmt::format("{} layers", depth));
  }
  for (std::size_t drawing = 0; drawing < kDrawings.size(); ++drawing) {
    for (std::size_t arm = 0; arm < kArms.size(); ++arm) {
      std::vector<std::string> row{fmt::format("{}, {}", kArms[arm], kDrawings[drawing].name)};
      for (std::size_t depth = 0; depth < plan.depths.size(); ++depth) {
        row.push_back(text(interval_of(results.values(arm, point(plan, drawing, depth), value))));
      }
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

void describe(Session& session, const Plan& plan) {
  session.describe(
      {fmt::format("Plain fully connected networks of {} to {} hidden layers with {} ReLU units "
                   "each, with batch norm before each ReLU and without; batches of 64, gradient "
                   "descent with momentum 0.9, {} steps.",
                   plan.depths.front(), plan.depths.back(), plan.width, plan.steps),
       "Weights are drawn in two ways: by the library's default, which is PyTorch's, "
       "U(±1/√fan_in), "
       "too small for ReLU by a factor of √6 per layer; and as He et al. (2015) found it right for "
       "ReLU networks without batch norm, N(0, 2/fan_in).",
       fmt::format("At every depth each arm has the best of {} learning rates, chosen on held-back "
                   "samples after as many steps with another seed; then {} seeds each, the same "
                   "ones for both. Gradients are those of the first batch, before any step.",
                   plan.rates.size(), session.seeds())});
}

void conclude(Session& session, const Plan& plan, const PointResults& results) {
  const std::size_t deepest = plan.depths.size() - 1;
  const auto part = [&](std::size_t drawing) {
    const std::size_t at = point(plan, drawing, deepest);
    const auto mean = [&](std::size_t arm, const std::string& value) {
      return mean_of(results.values(arm, at, value));
    };
    return fmt::format(
        "{:.1f} % with batch norm and {:.1f} % without ({}; gradients over {:.1f} and {:.1f} "
        "decades)",
        100 * mean(0, "accuracy"), 100 * mean(1, "accuracy"), kDrawings[drawing].name,
        mean(0, "gradient spread"), mean(1, "gradient spread"));
  };
  session.conclude(fmt::format("With {} layers the accuracy was {}, and {}.", plan.depths[deepest],
                               part(0), part(1)));
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const PointResults results = measure_points(session, search_of(plan), measure_with(plan));
  add_checks(session, plan, results);
  session.add(accuracy_chart(plan, results));
  session.add(gradient_chart(plan, results));
  session.add(table_of(plan, results, "Test accuracy at each depth: mean (95 % interval)",
                       "accuracy", percent_text));
  session.add(table_of(plan, results,
                       "Decades from the smallest to the largest gradient of the layers, before "
                       "the first step: mean (95 % interval)",
                       "gradient spread", interval_text));
  describe(session, plan);
  conclude(session, plan, results);
}

}  // namespace

Experiment depth() {
  return {
      .name = "depth",
      .title = "Deeper networks",
      .claim =
          "With batch normalization deep networks train, and their gradients neither vanish "
          "nor explode.",
      .source =
          "He et al. 2016, section 4.1 (plain networks), https://arxiv.org/abs/1512.03385; "
          "Ioffe and Szegedy 2015, section 3.3, https://arxiv.org/abs/1502.03167",
      .question =
          "What accuracy do plain networks of 4 to 64 layers reach with batch norm and without, "
          "and how large are their layers' gradients before the first step?",
      .supports =
          "Higher accuracy with batch norm in networks of 16 layers and more, and "
          "gradients of more equal size in the deepest of them, from either initialization.",
      .contradicts =
          "Deep networks that are more accurate without, by two points or more, or gradients that "
          "differ more with batch norm. Networks that train as well without leave a check unclear, "
          "and so do depths at which neither trains.",
      .practice =
          {"Beyond some twenty layers use residual connections as well: batch norm alone makes "
           "gradients of deep plain networks explode at the start, by a factor of about 1.2 per "
           "ReLU layer (Yang et al. 2019, https://arxiv.org/abs/1902.08129).",
           "Without batch norm a deep ReLU network needs He's initialization; with batch norm "
           "the choice matters much less."},
      .needs = Needs::features,
      .contrast = {kArms[0], kArms[1]},
      .quick_seconds = 30,
      .full_seconds = 1800,
      .run = run};
}

}  // namespace evenkeel::lab
