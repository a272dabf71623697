// Batch norm and layer norm in recurrent networks over sequences of different lengths.

#include <algorithm>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/rates.h"
#include "lab/session.h"
#include "lab/trial.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/lstm.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/layers/time_pool.h>

namespace evenkeel::lab {
namespace {

const std::string kLayer = "layer norm";
const std::string kBatch = "recurrent batch norm";
const std::string kBetween = "batch norm between layers";
const std::string kNone = "none";

/// What a cell tries; `at` has it as "task".
enum class Task : std::uint8_t {
  usual,
  small,  ///< few sequences in a batch
  longer  ///< trained on the shorter half of the sequences, tested on the longer
};

/// The sequences of a data set up to a length and those beyond it.
struct Halves {
  data::Dataset shorter, longer;
};

Halves split(const data::Dataset& part, std::int64_t length) {
  std::vector<std::int64_t> shorter, longer;
  for (std::int64_t i = 0; i < part.size(); ++i) {
    (part.lengths[static_cast<std::size_t>(i)] <= length ? shorter : longer).push_back(i);
  }
  return {part.select(shorter), part.select(longer)};
}

struct Plan {
  Material all, shorter;  // `shorter` is tested on the longer half
  std::int64_t cut;       // the length up to which sequences are short
  std::int64_t hidden, batch_size, small_batch, steps, small_steps, every;
  std::vector<double> rates;

  const Material& material(const Cell& cell) const {
    return is(cell, Task::longer) ? shorter : all;
  }
  static bool is(const Cell& cell, Task task) {
    return cell.where("task") == static_cast<double>(task);
  }
};

Plan plan_of(const Session& session) {
  Plan plan;
  plan.all = as_sequences(session.material().limited(session.pick<std::int64_t>(6000, 0, 300),
                                                     session.pick<std::int64_t>(500, 5000, 100),
                                                     session.pick<std::int64_t>(1000, 0, 100)));
  std::vector<std::int64_t> lengths = plan.all.splits.train.lengths;
  std::ranges::nth_element(lengths,
                           lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2));
  plan.cut = lengths[lengths.size() / 2];
  plan.shorter = plan.all;
  plan.shorter.splits.train = split(plan.all.splits.train, plan.cut).shorter;
  plan.shorter.splits.test = split(plan.all.splits.test, plan.cut).longer;
  if (plan.shorter.splits.test.size() == 0) {
    fail<UsageError>("[lab] expected sequences of different lengths, all of '{}' have {} steps",
                     plan.all.spec, plan.cut);
  }
  plan.hidden = session.pick<std::int64_t>(32, 100, 8);
  plan.batch_size = session.pick<std::int64_t>(32, 64, 16);
  plan.small_batch = 4;
  plan.steps = session.pick<std::int64_t>(450, 3000, 10);
  plan.small_steps = session.pick<std::int64_t>(400, 6000, 10);
  plan.every = session.pick<std::int64_t>(50, 100, 5);
  plan.rates = session.pick<std::vector<double>>({0.003, 0.01, 0.03, 0.1},
                                                 {0.001, 0.003, 0.01, 0.03, 0.1}, {0.01, 0.03});
  return plan;
}

/// An LSTM, its last valid step, a linear layer.
std::unique_ptr<nn::Module> build(const Plan& plan, const std::string& arm, std::uint64_t seed) {
  const Shape sample = plan.all.sample();
  nn::LstmOptions options;
  options.norm.kind = arm == kBatch   ? nn::RecurrentNormKind::batch
                      : arm == kLayer ? nn::RecurrentNormKind::layer
                                      : nn::RecurrentNormKind::none;
  options.norm.max_steps = sample[1];
  nn::BatchNormOptions between;
  between.small_batch = nn::SmallBatch::running_stats;
  auto network = std::make_unique<nn::Sequential>();
  if (arm == kBetween) network->add(nn::BatchNorm1d(sample[0], between));
  network->add(nn::LSTM(sample[0], plan.hidden, options));
  if (arm == kBetween) network->add(nn::BatchNorm1d(plan.hidden, between));
  network->add(nn::LastStep());
  network->add(nn::Linear(plan.hidden, plan.all.classes()));
  network->initialize(seed);
  return network;
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const Material& material = plan.material(cell);
    const bool small = Plan::is(cell, Task::small), tuning = cell.stage == "tune";
    Trial trial;
    trial.network = [&](std::uint64_t seed) { return build(plan, cell.arm, seed); };
    trial.layout = Layout::channels_last;
    trial.seed = cell.seed;
    trial.optimizer = "adamw";
    trial.clip = 1;
    trial.rate = cell.where("rate");
    trial.batch_size = small ? plan.small_batch : plan.batch_size;
    trial.steps = small ? plan.small_steps : plan.steps;
    trial.evaluate_every = tuning || !Plan::is(cell, Task::usual) ? 0 : plan.every;
    trial.watched = tuning ? &material.splits.validation : &material.splits.test;
    return summarize(train(material, trial), cell);
  };
}

std::pair<std::string, double> at(Task task) { return {"task", static_cast<double>(task)}; }

/// What came of everything, by task.
struct Findings {
  std::vector<Result> results;
  std::map<std::string, double> usual_rates, small_rates;

  std::vector<const Result*> of(const std::string& arm, Task task) const {
    return of_arm_at(results, arm, "task", static_cast<double>(task));
  }
  std::vector<double> accuracies(const std::string& arm, Task task) const {
    return values_of(of(arm, task), "accuracy");
  }
};

const std::vector<std::string>& arms_of(Task task) {
  static const std::vector<std::string> all{kLayer, kBatch, kBetween, kNone};
  static const std::vector<std::string> compared{kLayer, kBatch};
  return task == Task::usual ? all : compared;
}

Findings measure_all(Session& session, const Plan& plan) {
  const Measure measure = measure_with(plan);
  const double small_cost = 0.5;
  const auto rates = static_cast<double>(plan.rates.size());
  session.expect(4 * (rates + session.seeds()) + 2 * small_cost * (rates + session.seeds()) +
                 2.0 * session.seeds());
  Findings findings;
  findings.usual_rates = best_rates(
      session, {.arms = arms_of(Task::usual), .rates = plan.rates, .at = {at(Task::usual)}},
      measure);
  findings.small_rates =
      best_rates(session,
                 {.arms = arms_of(Task::small),
                  .rates = plan.rates,
                  .at = {at(Task::small)},
                  .cost = small_cost,
                  .title = fmt::format("Learning rates tried with batches of {}: accuracy on the "
                                       "held-back part",
                                       plan.small_batch)},
                 measure);
  std::vector<Cell> cells;
  for (const Task task : {Task::usual, Task::small, Task::longer}) {
    const bool small = task == Task::small;
    for (Cell cell :
         final_cells(session, arms_of(task), small ? findings.small_rates : findings.usual_rates,
                     small ? small_cost : 1)) {
      cell.at.insert(cell.at.begin(), at(task));
      cells.push_back(std::move(cell));
    }
  }
  findings.results = session.measure(cells, measure);
  return findings;
}

std::vector<double> mean_accuracies(const std::vector<const Result*>& results) {
  std::vector<double> means;
  for (const Result* result : results) means.push_back(mean_of(result->series("accuracy").y));
  return means;
}

void check(Session& session, const Plan& plan, const Findings& findings) {
  const std::string quantity = "accuracy, layer − batch";
  const auto add = [&](const std::string& text, const std::vector<double>& layer,
                       const std::vector<double>& batch) {
    session.add(check_difference(text, quantity, differences(layer, batch), 0.01));
  };
  add("higher accuracy with layer norm at the end", findings.accuracies(kLayer, Task::usual),
      findings.accuracies(kBatch, Task::usual));
  add("and on average over the run", mean_accuracies(findings.of(kLayer, Task::usual)),
      mean_accuracies(findings.of(kBatch, Task::usual)));
  add(fmt::format("higher accuracy with batches of {}", plan.small_batch),
      findings.accuracies(kLayer, Task::small), findings.accuracies(kBatch, Task::small));
  add("higher accuracy on sequences longer than those of training",
      findings.accuracies(kLayer, Task::longer), findings.accuracies(kBatch, Task::longer));
}

void draw(Session& session, const Plan& plan, const Findings& findings) {
  Chart curves{.id = "accuracy",
               .title = "Test accuracy of a recurrent network against training steps",
               .note = "Means over the seeds; bands are 95 % intervals of the mean.",
               .x = {.label = "training steps"},
               .y = {.label = "test accuracy", .unit = "%"}};
  for (const std::string& arm : arms_of(Task::usual)) {
    curves.series.push_back(mean_curve(arm, findings.of(arm, Task::usual), "accuracy", 100));
  }
  Chart tasks{.id = "tasks",
              .title = "Final accuracy, and where batch statistics are hard to come by",
              .note = "Whiskers: 95 % intervals of the mean.",
              .type = ChartType::bar,
              .x = {.label = "condition",
                    .scale = Scale::category,
                    .categories = {fmt::format("batches of {}", plan.batch_size),
                                   fmt::format("batches of {}", plan.small_batch),
                                   "longer than in training"}},
              .y = {.label = "test accuracy", .unit = "%"},
              .headline = true};
  DataTable table{"Test accuracy: mean (95 % interval)", {""}};
  for (const std::string& text : tasks.x.categories) table.columns.push_back(text);
  for (const std::string& arm : arms_of(Task::usual)) {
    ChartSeries series;
    series.name = arm;
    std::vector<std::string> row{arm};
    for (const Task task : {Task::usual, Task::small, Task::longer}) {
      const std::vector<double> accuracies = findings.accuracies(arm, task);
      row.push_back(accuracies.empty() ? "-" : percent_text(interval_of(accuracies)));
      if (!accuracies.empty()) add_point(series, static_cast<double>(task), accuracies, 100);
    }
    tasks.series.push_back(series);
    table.rows.push_back(row);
  }
  session.add(tasks);
  session.add(curves);
  session.add(table);
}

void describe(Session& session, const Plan& plan) {
  const bool made = !session.material().has_sequences();
  session.describe(
      {fmt::format("{} An LSTM of {} units and a linear layer behind the last valid step, AdamW, "
                   "gradients clipped to length 1, batches of {}, {} steps.",
                   made ? "Images are read row by row, each stretched to a length of its own "
                          "between half and all of its rows."
                        : "The sequences have lengths of their own.",
                   plan.hidden, plan.batch_size, plan.steps),
       "Recurrent batch norm has statistics of each time step (Cooijmans et al. 2016); batch norm "
       "between layers stands before and behind the LSTM, with statistics over all valid steps; "
       "layer norm "
       "stands inside the LSTM. Every arm has the best learning rate of the same grid, chosen on "
       "held-back sequences with another seed.",
       fmt::format("Then the same with batches of {} ({} steps, rates chosen anew), and trained "
                   "on sequences of at most {} steps to be tested on longer ones.",
                   plan.small_batch, plan.small_steps, plan.cut)});
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const Findings findings = measure_all(session, plan);
  check(session, plan, findings);
  describe(session, plan);
  draw(session, plan, findings);
  const auto percent = [&](const std::string& arm, Task task) {
    return fmt::format("{:.1f}", 100 * mean_of(findings.accuracies(arm, task)));
  };
  session.conclude(fmt::format(
      "Layer norm against recurrent batch norm: {} and {} % with batches of {} ({} without a norm, "
      "{} with batch norm between layers), {} and {} % with batches of {}, {} and {} % on "
      "sequences longer than in training.",
      percent(kLayer, Task::usual), percent(kBatch, Task::usual), plan.batch_size,
      percent(kNone, Task::usual), percent(kBetween, Task::usual), percent(kLayer, Task::small),
      percent(kBatch, Task::small), plan.small_batch, percent(kLayer, Task::longer),
      percent(kBatch, Task::longer)));
}

}  // namespace

Experiment sequences() {
  return {.name = "sequences",
          .title = "Sequences of different lengths",
          .claim =
              "Batch normalization suits sequences less: inside recurrent networks layer "
              "normalization does better.",
          .source =
              "Ba, Kiros and Hinton 2016, sections 1 and 3.1, "
              "https://arxiv.org/abs/1607.06450; Cooijmans et al. 2016 for recurrent batch "
              "norm, https://arxiv.org/abs/1603.09025",
          .question =
              "Does a recurrent network do better with layer norm than with batch norm of "
              "each time step: in the end, on the way there, with few sequences in a "
              "batch, and on sequences longer than any of training?",
          .supports =
              "Higher accuracy with layer norm than with recurrent batch norm in these four "
              "respects.",
          .contradicts = "Accuracy as high or higher with recurrent batch norm.",
          .practice =
              {"In recurrent networks begin with layer norm: it needs no statistics, no batch and "
               "no limit of length.",
               "Where batch norm is wanted, leave padding out of the statistics, keep statistics "
               "of each step, start γ at 0.1 (Cooijmans et al.), and use batches that many "
               "sequences reach the late steps of."},
          .needs = Needs::sequences,
          .contrast = {kLayer, kBatch},
          .quick_seconds = 28,
          .full_seconds = 1500,
          .run = run};
}

}  // namespace evenkeel::lab
