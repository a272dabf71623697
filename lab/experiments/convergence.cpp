// Faster convergence: the first experiment of the original paper.

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/paper_trial.h"
#include "lab/rates.h"
#include "lab/session.h"
#include "lab/trial.h"

namespace evenkeel::lab {
namespace {

const std::string kWith = "with batch norm";
const std::string kWithout = "without";

struct Plan {
  Material material;
  std::vector<double> rates;
  PaperSteps steps;
  std::int64_t every;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(0, 0, 400),
                                     session.pick<std::int64_t>(1000, 5000, 100),
                                     session.pick<std::int64_t>(1000, 0, 100)),
          session.pick<std::vector<double>>({0.3, 1, 3, 10}, {0.03, 0.1, 0.3, 1, 3}, {0.3, 1}),
          session.pick<PaperSteps>({3000, 3000}, {50'000, 50'000}, {40, 40}),
          session.pick<std::int64_t>(50, 250, 10)};
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    Trial trial = paper_trial(plan.material, cell.arm == kWith, cell, plan.steps);
    if (cell.stage != "tune") {
      trial.evaluate_every = plan.every;
      trial.evaluate_growth = 1.1;
    }
    return summarize(train(plan.material, trial), cell);
  };
}

std::vector<double> steps_to(const std::vector<const Result*>& results, double goal, double end) {
  std::vector<double> steps;
  for (const Result* result : results) {
    steps.push_back(first_reach(result->series("accuracy"), goal, end));
  }
  return steps;
}

std::vector<double> mean_accuracies(const std::vector<const Result*>& results) {
  std::vector<double> means;
  for (const Result* result : results) means.push_back(mean_of(result->series("accuracy").y));
  return means;
}

DataTable steps_table(const std::vector<const Result*>& with,
                      const std::vector<const Result*>& without,
                      const std::map<std::string, double>& rates, double end) {
  DataTable table{"Steps to an accuracy on the test part: mean (95 % interval)",
                  {"", "best rate", "final accuracy"}};
  const std::vector<double> goals{0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98};
  for (const double goal : goals) table.columns.push_back(fmt::format("{:g} %", goal * 100));
  for (const auto* arm : {&with, &without}) {
    const std::string& name = arm == &with ? kWith : kWithout;
    std::vector<std::string> row{name, fmt::format("{:g}", rates.at(name)),
                                 percent_text(interval_of(values_of(*arm, "accuracy")))};
    for (const double goal : goals) {
      const std::vector<double> steps = steps_to(*arm, goal, 2 * end);
      const bool all = std::ranges::all_of(steps, [&](double s) { return s <= end; });
      row.push_back(all ? interval_text(interval_of(steps)) : "-");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const std::vector<std::string> arms{kWith, kWithout};
  const auto end = static_cast<double>(plan.steps.run);
  session.expect(static_cast<double>(arms.size() * plan.rates.size()) +
                 static_cast<double>(arms.size()) * session.seeds());
  const Measure measure = measure_with(plan);
  const auto rates = best_rates(session, {.arms = arms, .rates = plan.rates}, measure);
  const auto results = session.measure(final_cells(session, arms, rates), measure);
  const auto with = of_arm(results, kWith), without = of_arm(results, kWithout);

  // A goal that both arms reach: what the weaker one has in the end.
  const double weaker =
      std::min(mean_of(values_of(with, "accuracy")), mean_of(values_of(without, "accuracy")));
  const auto check = [&](double part, const std::string& what) {
    const double goal = part * weaker;
    session.add(check_ratio(
        fmt::format("fewer steps to {} ({:.1f} %)", what, 100 * goal), "steps without / steps with",
        log_ratios(steps_to(without, goal, end), steps_to(with, goal, end)), 1.1));
  };
  check(1.0, "the accuracy that the weaker arm ends with");
  check(0.98, "98 % of it");
  check(0.9, "nine tenths of it");
  session.add(check_difference("higher accuracy on average over the run", "points, with − without",
                               differences(mean_accuracies(with), mean_accuracies(without)),
                               0.005));

  session.describe(
      {fmt::format(
           "The network of the paper's first experiment: three hidden layers of 100 sigmoid "
           "units, batches of 60, plain gradient descent, {} steps; with batch norm before "
           "each sigmoid and without.",
           plan.steps.run),
       fmt::format("Each arm has the best of {} learning rates, chosen on held-back samples after "
                   "{} steps with another seed; then {} seeds each, the same ones for both.",
                   plan.rates.size(), plan.steps.tuning, session.seeds()),
       fmt::format(
           "Test accuracy is measured every {} steps, and at the beginning each time behind a "
           "tenth "
           "more; between two measurements curves are taken as straight. A run that never gets "
           "to an accuracy counts with all of its steps. The rate is chosen for the end of the "
           "run, not for its beginning.",
           plan.every)});
  session.add(Chart{.id = "accuracy",
                    .title = "Test accuracy against training steps",
                    .note = "Means over the seeds; bands are 95 % intervals of the mean.",
                    .x = {.label = "training steps"},
                    .y = {.label = "test accuracy", .unit = "%"},
                    .headline = true,
                    .series = {mean_curve(kWith, with, "accuracy", 100),
                               mean_curve(kWithout, without, "accuracy", 100)}});
  session.add(
      Chart{.id = "loss",
            .title = "Training loss against training steps",
            .x = {.label = "training steps"},
            .y = {.label = "cross-entropy", .scale = Scale::log},
            .series = {mean_curve(kWith, with, "loss"), mean_curve(kWithout, without, "loss")}});
  session.add(steps_table(with, without, rates, end));
  const auto text = [&](std::size_t i) { return interval_text(session.checks()[i].interval); };
  session.conclude(
      fmt::format("Steps without batch norm over steps with it: {} to the accuracy that the weaker "
                  "arm ends with, "
                  "{} to 98 % of that, {} to nine tenths.",
                  text(0), text(1), text(2)));
}

}  // namespace

Experiment convergence() {
  return {.name = "convergence",
          .title = "Faster convergence",
          .claim = "Batch normalization makes a network reach the same accuracy in fewer steps.",
          .source = "Ioffe and Szegedy 2015, section 4.1, https://arxiv.org/abs/1502.03167",
          .question =
              "How many steps does the paper's own small network need to fixed accuracies, with "
              "batch norm and without, each at its best learning rate?",
          .supports =
              "Fewer steps with batch norm to the accuracy that the weaker arm ends with, to 98 % "
              "of it "
              "and to nine tenths; a higher accuracy on average over the run.",
          .contradicts =
              "More steps with batch norm, a lower accuracy on average. As many of them as without "
              "leave it undecided.",
          .practice =
              {"Where a network trains slowly, try batch norm before anything that costs more per "
               "step; compare at each variant's own best learning rate.",
               "The gain is largest with saturating activations, as here; with ReLU and a good "
               "initialization it is smaller."},
          .needs = Needs::features,
          .contrast = {kWith, kWithout},
          .quick_seconds = 30,
          .full_seconds = 1200,
          .run = run};
}

}  // namespace evenkeel::lab
