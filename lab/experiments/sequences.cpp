// Batch norm and layer norm in recurrent networks over sequences of different lengths.

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/shared_runs.h"
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
const std::string kBatch = "batch norm";
const std::string kNone = "none";

/// Where batch norm stands in a cell that is compared; `at` has it as "place". Layer norm is the
/// same network beside either.
enum class Place : std::uint8_t {
  inside,  ///< the LSTM, with statistics of each time step
  between  ///< the layers, with statistics over all valid steps
};
constexpr std::array kPlaces{Place::inside, Place::between};

std::string batch_text(Place place) {
  return place == Place::inside ? "recurrent batch norm" : "masked batch norm";
}

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
    fail<UnsuitableData>("needs sequences of different lengths, and all of '{}' have {} steps",
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
std::unique_ptr<nn::Module> build(const Plan& plan, const std::string& arm, Place place,
                                  std::uint64_t seed) {
  const Shape sample = plan.all.sample();
  const bool between_layers = arm == kBatch && place == Place::between;
  nn::LstmOptions options;
  options.norm.max_steps = sample[1];
  if (arm == kLayer) options.norm.kind = nn::RecurrentNormKind::layer;
  if (arm == kBatch && !between_layers) options.norm.kind = nn::RecurrentNormKind::batch;
  nn::BatchNormOptions between;
  between.small_batch = nn::SmallBatch::running_stats;
  auto network = std::make_unique<nn::Sequential>();
  if (between_layers) network->add(nn::BatchNorm1d(sample[0], between));
  network->add(nn::LSTM(sample[0], plan.hidden, options));
  if (between_layers) network->add(nn::BatchNorm1d(plan.hidden, between));
  network->add(nn::LastStep());
  network->add(nn::Linear(plan.hidden, plan.all.classes()));
  network->initialize(seed);
  return network;
}

Measurement measure_one(const Plan& plan, const Cell& cell) {
  const Material& material = plan.material(cell);
  const bool small = Plan::is(cell, Task::small), tuning = cell.stage == "tune";
  const auto place = static_cast<Place>(cell.where("place"));
  Trial trial;
  trial.network = [&](std::uint64_t seed) { return build(plan, cell.arm, place, seed); };
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
}

Measure measure_with(const Plan& plan) {
  return [&plan, runs = std::make_shared<SharedRuns>()](const Cell& cell) {
    if (cell.arm == kBatch) return measure_one(plan, cell);
    return runs->measure(cell, fmt::format("{} {}", cell.arm, cell.where("task")),
                         [&] { return measure_one(plan, cell); });
  };
}

std::vector<std::pair<std::string, double>> at(Task task, Place place) {
  return {{"task", static_cast<double>(task)}, {"place", static_cast<double>(place)}};
}

/// What came of everything.
struct Findings {
  std::vector<RatePoint> usual, small, longer;  ///< with their rates
  std::vector<Result> results;

  std::vector<const Result*> of(const std::string& arm, Task task, Place place) const {
    return at_point(results, arm, at(task, place));
  }
  std::vector<double> accuracies(const std::string& arm, Task task, Place place) const {
    return values_of(of(arm, task, place), "accuracy");
  }
};

std::vector<RatePoint> points_of(Task task, double cost) {
  std::vector<RatePoint> points;
  for (const Place place : kPlaces) {
    const double again = place == Place::inside ? 1 : 0.02;  // shared runs
    points.push_back({.arm = kLayer, .at = at(task, place), .cost = cost * again});
    points.push_back({.arm = kBatch, .at = at(task, place), .cost = cost});
  }
  if (task == Task::usual) {
    points.push_back({.arm = kNone, .at = at(task, Place::inside), .cost = cost});
  }
  return points;
}

Findings measure_all(Session& session, const Plan& plan) {
  const Measure measure = measure_with(plan);
  Findings findings{
      points_of(Task::usual, 1), points_of(Task::small, 0.5), points_of(Task::longer, 1), {}};
  session.expect(cost_of(session, findings.usual, plan.rates.size()) +
                 cost_of(session, findings.small, plan.rates.size()) +
                 cost_of(session, findings.longer, 0));
  find_rates(session, findings.usual, plan.rates, measure);
  find_rates(session, findings.small, plan.rates, measure);
  // The longer task has no held-back part of its own.
  for (std::size_t i = 0; i < findings.longer.size(); ++i) {
    findings.longer[i].rate = findings.usual[i].rate;
  }
  std::vector<Cell> cells;
  for (const auto* const points : {&findings.usual, &findings.small, &findings.longer}) {
    const std::vector<Cell> more = final_cells(session, *points);
    cells.insert(cells.end(), more.begin(), more.end());
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
  for (const Place place : kPlaces) {
    const auto add = [&](const std::string& text, const std::vector<double>& layer,
                         const std::vector<double>& batch) {
      session.add(check_difference(
          fmt::format("higher accuracy with layer norm than with {}, {}", batch_text(place), text),
          "accuracy, layer − batch", differences(layer, batch), 0.01));
    };
    const auto compare = [&](const std::string& text, Task task) {
      add(text, findings.accuracies(kLayer, task, place), findings.accuracies(kBatch, task, place));
    };
    compare("at the end", Task::usual);
    add("on average over the run", mean_accuracies(findings.of(kLayer, Task::usual, place)),
        mean_accuracies(findings.of(kBatch, Task::usual, place)));
    compare(fmt::format("batches of {}", plan.small_batch), Task::small);
    compare("on sequences longer than those of training", Task::longer);
  }
}

/// A line of the pictures and the tables.
struct Line {
  std::string name, arm;
  Place place;
};

const std::vector<Line>& drawn_lines() {
  static const std::vector<Line> all{{kLayer, kLayer, Place::inside},
                                     {batch_text(Place::inside), kBatch, Place::inside},
                                     {batch_text(Place::between), kBatch, Place::between},
                                     {kNone, kNone, Place::inside}};
  return all;
}

double rate_at(const std::vector<RatePoint>& points, const Line& line) {
  for (const RatePoint& point : points) {
    if (point.arm == line.arm && point.at[1].second == static_cast<double>(line.place)) {
      return point.rate;
    }
  }
  return NAN;
}

DataTable rate_table(const Plan& plan, const Findings& findings) {
  DataTable table{"Best learning rates",
                  {"", fmt::format("batches of {}", plan.batch_size),
                   fmt::format("batches of {}", plan.small_batch)}};
  for (const Line& line : drawn_lines()) {
    table.rows.push_back({line.name, short_text(rate_at(findings.usual, line)),
                          short_text(rate_at(findings.small, line))});
  }
  return table;
}

void draw(Session& session, const Plan& plan, const Findings& findings) {
  Chart curves{.id = "accuracy",
               .title = "Test accuracy of a recurrent network against training steps",
               .note = "Means over the seeds; bands are 95 % intervals of the mean.",
               .x = {.label = "training steps"},
               .y = {.label = "test accuracy", .unit = "%"}};
  for (const Line& line : drawn_lines()) {
    curves.series.push_back(
        mean_curve(line.name, findings.of(line.arm, Task::usual, line.place), "accuracy", 100));
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
  for (const Line& line : drawn_lines()) {
    ChartSeries series;
    series.name = line.name;
    std::vector<std::string> row{line.name};
    for (const Task task : {Task::usual, Task::small, Task::longer}) {
      const std::vector<double> accuracies = findings.accuracies(line.arm, task, line.place);
      row.push_back(accuracies.empty() ? "-" : percent_text(interval_of(accuracies)));
      if (!accuracies.empty()) add_point(series, static_cast<double>(task), accuracies, 100);
    }
    tasks.series.push_back(series);
    table.rows.push_back(row);
  }
  session.add(tasks);
  session.add(curves);
  session.add(table);
  session.add(rate_table(plan, findings));
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
       fmt::format(
           "Layer norm stands inside the LSTM. Recurrent batch norm stands there, too, and has "
           "statistics of each time step (Cooijmans et al. 2016); masked batch norm stands before "
           "and behind the LSTM, with statistics over all valid steps. Layer norm is compared with "
           "either. Every arm has the best of the same {} learning rates, chosen on held-back "
           "sequences with another seed; then {} seeds each.",
           plan.rates.size(), session.seeds()),
       fmt::format("Then the same with batches of {} ({} steps, rates chosen anew), and trained "
                   "on sequences of at most {} steps to be tested on longer ones (with the rates "
                   "of the first task).",
                   plan.small_batch, plan.small_steps, plan.cut)});
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const Findings findings = measure_all(session, plan);
  check(session, plan, findings);
  describe(session, plan);
  draw(session, plan, findings);
  const auto percent = [&](const std::string& arm, Task task, Place place = Place::inside) {
    return fmt::format("{:.1f}", 100 * mean_of(findings.accuracies(arm, task, place)));
  };
  const auto three = [&](Task task) {
    return fmt::format("{}, {} and {} %", percent(kLayer, task), percent(kBatch, task),
                       percent(kBatch, task, Place::between));
  };
  session.conclude(fmt::format(
      "Layer norm, recurrent and masked batch norm: {} with batches of {} ({} without a norm), {} "
      "with batches of {}, {} on sequences longer than in training.",
      three(Task::usual), plan.batch_size, percent(kNone, Task::usual), three(Task::small),
      plan.small_batch, three(Task::longer)));
}

}  // namespace

Experiment sequences() {
  return {.name = "sequences",
          .title = "Sequences of different lengths",
          .claim =
              "Batch normalization suits sequences less: recurrent networks do better with layer "
              "normalization.",
          .source =
              "Ba, Kiros and Hinton 2016, sections 1 and 3.1, "
              "https://arxiv.org/abs/1607.06450; Cooijmans et al. 2016 for recurrent batch "
              "norm, https://arxiv.org/abs/1603.09025; Laurent et al. 2016 for batch norm between "
              "the layers, https://arxiv.org/abs/1510.01378",
          .question =
              "Does a recurrent network do better with layer norm than with batch norm of "
              "each time step, and than with batch norm between its layers over all valid steps: "
              "in the end, on the way there, with few sequences in a batch, and on sequences "
              "longer than any of training?",
          .supports =
              "Higher accuracy with layer norm in at least half of these eight comparisons, four "
              "with either batch norm, and a lower one in none.",
          .contradicts =
              "Higher accuracy with recurrent or with masked batch norm; accuracies that are equal "
              "but for the spread over seeds leave a check unclear.",
          .practice =
              {"Inside a recurrent network take layer norm: it needs no statistics, no batch and "
               "no limit of length. Where batches hold many sequences, try batch norm between the "
               "layers as well.",
               "Where batch norm is wanted, leave padding out of the statistics; inside the "
               "network keep statistics of each step, start γ at 0.1 (Cooijmans et al.), and use "
               "batches that many sequences reach the late steps of."},
          .needs = Needs::sequences,
          .contrast = {kLayer, kBatch},
          .quick_seconds = 28,
          .full_seconds = 1700,
          .run = run};
}

}  // namespace evenkeel::lab
