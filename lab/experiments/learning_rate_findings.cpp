#include "lab/experiments/learning_rate_findings.h"

#include <algorithm>

#include <fmt/format.h>

#include "lab/points.h"
#include "lab/trial.h"

namespace evenkeel::lab::learning_rates {
namespace {

/// The variant of an arm and an activation with the least `cost`; of equal ones the lowest rate.
template <class Cost>
const Variant& least(const std::vector<Variant>& variants, const std::string& arm, bool sigmoid,
                     Cost cost) {
  const Variant* best = nullptr;
  for (const Variant& one : variants) {
    if (one.arm != arm || one.sigmoid != sigmoid) continue;
    if (best == nullptr || cost(one) < cost(*best)) best = &one;
  }
  return *best;
}

double error_of(const Variant& one) { return 1 - mean_of(one.best()); }

double mean_steps(const Variant& one, const Goal& goal) { return mean_of(one.steps_to(goal)); }

void add_checks(Session& session, const std::vector<Variant>& variants, const Goal& goal) {
  for (const double multiple : {5.0, 30.0}) {
    session.add(check_difference(
        fmt::format("higher best accuracy at {:g} times the baseline's rate, ReLU", multiple),
        "points, with − without",
        points_between(variant(variants, kWith, false, multiple).best(),
                       variant(variants, kWithout, false, multiple).best()),
        1));
  }
  const auto steps = [&](const Variant& one) { return mean_steps(one, goal); };
  session.add(check_ratio(
      fmt::format("fewer steps to {:.1f} %, which both reach, each at the multiple that suits it "
                  "best",
                  100 * goal.accuracy),
      "steps without / steps with",
      log_ratios(least(variants, kWithout, false, steps).steps_to(goal),
                 least(variants, kWith, false, steps).steps_to(goal)),
      1.1));
  for (const bool sigmoid : {false, true}) {
    session.add(check_difference(
        fmt::format("higher best accuracy, each at the multiple that suits it best, {}",
                    sigmoid ? "sigmoid" : "ReLU"),
        "points, with − without",
        points_between(least(variants, kWith, sigmoid, error_of).best(),
                       least(variants, kWithout, sigmoid, error_of).best()),
        0.5));
  }
}

Chart curves(const std::string& id, const std::string& title,
             const std::vector<const Variant*>& shown, bool headline) {
  Chart chart{.id = id,
              .title = title,
              .note = "Means over the seeds; bands are 95 % intervals of the mean.",
              .x = {.label = "training steps"},
              .y = {.label = "test accuracy", .unit = "%"},
              .headline = headline};
  for (const Variant* one : shown) {
    chart.series.push_back(mean_curve(one->name(), one->results, "accuracy", 100));
    chart.series.back().dash = one->arm == kWithout;
  }
  return chart;
}

Chart best_chart(const std::vector<Variant>& variants) {
  Chart chart{
      .id = "best",
      .title = "Best test accuracy against the learning rate",
      .note =
          "Means over the seeds with 95 % intervals. A run whose loss was no longer "
          "finite counts as a guess.",
      .x = {.label = "learning rate, in multiples of the baseline's best", .scale = Scale::log},
      .y = {.label = "best test accuracy", .unit = "%"}};
  for (const bool sigmoid : {false, true}) {
    for (const std::string& arm : {kWith, kWithout}) {
      ChartSeries series;
      series.name = arm + (sigmoid ? ", sigmoid" : ", ReLU");
      series.dash = sigmoid;
      series.color = arm == kWith ? 0 : 1;
      for (const Variant& one : variants) {
        if (one.arm != arm || one.sigmoid != sigmoid) continue;
        add_point(series, one.multiple, one.best(), 100);
      }
      chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

void add_charts(Session& session, const std::vector<Variant>& variants) {
  std::vector<const Variant*> relu{
      &variant(variants, kWith, false, 1), &variant(variants, kWith, false, 5),
      &variant(variants, kWith, false, 30), &variant(variants, kWithout, false, 1),
      &variant(variants, kWithout, false, 5)};
  session.add(curves("relu", "Test accuracy against training steps, ReLU", relu, true));
  std::vector<const Variant*> sigmoid;
  for (const std::string& arm : {kWith, kWithout}) {
    for (const Variant& one : variants) {
      if (one.arm == arm && one.sigmoid) sigmoid.push_back(&one);
    }
  }
  session.add(curves("sigmoid", "Test accuracy against training steps, sigmoid", sigmoid, false));
  session.add(best_chart(variants));
}

DataTable table_of(const std::vector<Variant>& variants, const Goal& goal) {
  DataTable table{fmt::format("Best test accuracy, and steps to {:.1f} %: mean (95 % interval)",
                              100 * goal.accuracy),
                  {"", "rate", "best accuracy", "got there", "steps",
                   "times fewer than the baseline", "diverged"}};
  const auto baseline = variant(variants, kWithout, false, 1).steps_to(goal);
  for (const Variant& one : variants) {
    std::size_t reached = 0, diverged = 0;
    for (const Result* result : one.results) {
      const double never = goal.end + 1;
      if (first_reach(result->series("accuracy"), goal.accuracy, never) < never) ++reached;
      if (result->value("diverged") != 0) ++diverged;
    }
    const auto steps = one.steps_to(goal);
    const Interval ratio = check_ratio("", "", log_ratios(baseline, steps)).interval;
    const std::size_t all = one.results.size();
    table.rows.push_back(
        {fmt::format("{}, {}", one.sigmoid ? "sigmoid" : "ReLU", one.name()),
         short_text(one.results.front()->cell.where("rate")), percent_text(interval_of(one.best())),
         fmt::format("{} of {}", reached, all),
         reached == 0 ? "-" : interval_text(interval_of(steps)),
         reached == 0 ? "-" : interval_text(ratio), fmt::format("{} of {}", diverged, all)});
  }
  return table;
}

void conclude(Session& session, const std::vector<Variant>& variants, const Goal& goal) {
  const auto& fastest =
      least(variants, kWith, false, [&](const Variant& one) { return mean_steps(one, goal); });
  const auto ratio_of = [&](const Variant& one) {
    const auto logs =
        log_ratios(variant(variants, kWithout, false, 1).steps_to(goal), one.steps_to(goal));
    return interval_text(check_ratio("", "", logs).interval);
  };
  const auto percent = [&](const std::string& arm, double multiple) {
    return 100 * mean_of(variant(variants, arm, false, multiple).best());
  };
  std::string summary = fmt::format(
      "To {:.1f} %, the best that the weaker arm reaches, the network without batch norm took {} "
      "times the steps of the one with it at 5 times the baseline's rate (the paper, on ImageNet: "
      "14)",
      100 * goal.accuracy, ratio_of(variant(variants, kWith, false, 5)));
  if (fastest.multiple != 5) {
    summary += fmt::format(", and {} times those at {:g} times the rate, where it was fastest",
                           ratio_of(fastest), fastest.multiple);
  }
  session.conclude(summary +
                   fmt::format("; best accuracies at 5 and 30 times that rate: {:.1f} and "
                               "{:.1f} % with batch norm, {:.1f} and {:.1f} % without.",
                               percent(kWith, 5), percent(kWith, 30), percent(kWithout, 5),
                               percent(kWithout, 30)));
}

}  // namespace

std::string Variant::name() const { return fmt::format("{}, {:g}×", arm, multiple); }

std::vector<double> Variant::steps_to(const Goal& goal) const {
  std::vector<double> steps;
  for (const Result* one : results) {
    steps.push_back(first_reach(one->series("accuracy"), goal.accuracy, goal.end));
  }
  return steps;
}

const Variant& variant(const std::vector<Variant>& variants, const std::string& arm, bool sigmoid,
                       double multiple) {
  return *std::ranges::find_if(variants, [&](const Variant& one) {
    return one.arm == arm && one.sigmoid == sigmoid && one.multiple == multiple;
  });
}

double best_of_the_weaker(const std::vector<Variant>& variants) {
  return std::min(mean_of(least(variants, kWith, false, error_of).best()),
                  mean_of(least(variants, kWithout, false, error_of).best()));
}

void add_findings(Session& session, const std::vector<Variant>& variants, const Goal& goal) {
  add_checks(session, variants, goal);
  add_charts(session, variants);
  session.add(table_of(variants, goal));
  conclude(session, variants, goal);
}

}  // namespace evenkeel::lab::learning_rates
