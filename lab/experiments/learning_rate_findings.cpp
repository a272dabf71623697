#include "lab/experiments/learning_rate_findings.h"

#include <algorithm>

#include <fmt/format.h>

#include "lab/points.h"
#include "lab/trial.h"

namespace evenkeel::lab::learning_rates {
namespace {

/// The multiple that suits an arm best by the samples held back; of equal ones the lowest.
const Variant& best_of(const std::vector<Variant>& variants, const std::string& arm, bool sigmoid) {
  const Variant* best = nullptr;
  for (const Variant& one : variants) {
    if (one.arm != arm || one.sigmoid != sigmoid) continue;
    if (best == nullptr || one.held_back() > best->held_back()) best = &one;
  }
  return *best;
}

/// "", or "; 2 of 5 runs with batch norm never got there".
std::string missing_text(const Variant& one, const Goal& goal) {
  const std::size_t all = one.results.size(), missing = all - one.that_reach(goal);
  return missing == 0 ? ""
                      : fmt::format("; {} of {} runs {} never got there", missing, all, one.arm);
}

void add_checks(Session& session, const std::vector<Variant>& variants, const Goal& goal) {
  for (const double multiple : {5.0, 30.0}) {
    session.add(check_difference(
        fmt::format("higher best accuracy at {:g} times the baseline's rate, ReLU", multiple),
        "points, with − without",
        points_between(variant(variants, kWith, false, multiple).best(),
                       variant(variants, kWithout, false, multiple).best()),
        1));
  }
  const Variant &with = best_of(variants, kWith, false),
                &without = best_of(variants, kWithout, false);
  session.add(check_ratio(
      fmt::format("fewer steps to the best accuracy of the weaker arm, {:.1f} %, each at the "
                  "multiple that suits it best{}{}",
                  100 * mean_of(goal.accuracy), missing_text(with, goal),
                  missing_text(without, goal)),
      "steps without / steps with", log_ratios(without.steps_to(goal), with.steps_to(goal)), 1.1));
  for (const bool sigmoid : {false, true}) {
    session.add(check_difference(
        fmt::format("higher best accuracy, each at the multiple that suits it best, {}",
                    sigmoid ? "sigmoid" : "ReLU"),
        "points, with − without",
        points_between(best_of(variants, kWith, sigmoid).best(),
                       best_of(variants, kWithout, sigmoid).best()),
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
                              100 * mean_of(goal.accuracy)),
                  {"", "rate", "best accuracy", "held back", "got there", "steps",
                   "times fewer than the baseline", "diverged"}};
  const auto baseline = variant(variants, kWithout, false, 1).steps_to(goal);
  for (const Variant& one : variants) {
    const std::size_t reached = one.that_reach(goal);
    const auto diverged = std::ranges::count_if(
        one.results, [](const Result* result) { return result->value("diverged") != 0; });
    const auto steps = one.steps_to(goal);
    const Interval ratio = check_ratio("", "", log_ratios(baseline, steps)).interval;
    const std::size_t all = one.results.size();
    table.rows.push_back(
        {fmt::format("{}, {}", one.sigmoid ? "sigmoid" : "ReLU", one.name()),
         short_text(one.results.front()->cell.where("rate")), percent_text(interval_of(one.best())),
         fmt::format("{:.1f} %", 100 * one.held_back()), fmt::format("{} of {}", reached, all),
         reached == 0 ? "-" : interval_text(interval_of(steps)),
         reached == 0 ? "-" : interval_text(ratio), fmt::format("{} of {}", diverged, all)});
  }
  return table;
}

void conclude(Session& session, const std::vector<Variant>& variants, const Goal& goal) {
  const Variant& best = best_of(variants, kWith, false);
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
      100 * mean_of(goal.accuracy), ratio_of(variant(variants, kWith, false, 5)));
  if (best.multiple != 5) {
    summary += fmt::format(", and {} times those at {:g} times the rate, which suits it best",
                           ratio_of(best), best.multiple);
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
  for (std::size_t i = 0; i < results.size(); ++i) {
    steps.push_back(first_reach(results[i]->series("accuracy"), goal.accuracy.at(i), goal.end));
  }
  return steps;
}

std::size_t Variant::that_reach(const Goal& goal) const {
  std::size_t reached = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (std::ranges::max(results[i]->series("accuracy").y) >= goal.accuracy.at(i)) ++reached;
  }
  return reached;
}

const Variant& variant(const std::vector<Variant>& variants, const std::string& arm, bool sigmoid,
                       double multiple) {
  return *std::ranges::find_if(variants, [&](const Variant& one) {
    return one.arm == arm && one.sigmoid == sigmoid && one.multiple == multiple;
  });
}

std::vector<double> best_of_the_weaker(const std::vector<Variant>& variants) {
  std::vector<double> with = best_of(variants, kWith, false).best();
  std::vector<double> without = best_of(variants, kWithout, false).best();
  return mean_of(with) < mean_of(without) ? with : without;
}

void add_findings(Session& session, const std::vector<Variant>& variants, const Goal& goal) {
  add_checks(session, variants, goal);
  add_charts(session, variants);
  session.add(table_of(variants, goal));
  conclude(session, variants, goal);
}

}  // namespace evenkeel::lab::learning_rates
