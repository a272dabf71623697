// γ and β can undo normalization: set by hand, and learned by gradient descent.

#include <cmath>

#include <fmt/format.h>

#include "lab/experiments/rows.h"
#include "lab/session.h"
#include "lab/undo.h"
#include <evenkeel/data/loader.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::lab {
namespace {

const std::string kWith = "with γ and β";
const std::string kWithout = "without (γ = 1, β = 0)";
constexpr std::int64_t kUnits = 100;

/// What a cell tries; `at` has it as "task".
enum class Task : std::uint8_t {
  by_hand,       ///< γ = √(σ² + ε), β = μ of the batch at hand
  one_batch,     ///< learned from one batch, again and again
  fresh_batches  ///< learned from batches that are drawn anew at every step
};

struct Plan {
  Material material;
  std::vector<double> offsets;  ///< |mean| in units of the spread
  std::int64_t samples, steps;
};

Plan plan_of(const Session& session) {
  const auto samples = session.pick<std::int64_t>(256, 4096, 64);
  return {session.material().limited(0, 0, samples),
          session.pick<std::vector<double>>({0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6},
                                            {0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6}, {1, 1e3}),
          samples, session.pick<std::int64_t>(400, 2000, 30)};
}

DType dtype_of(const Cell& cell) { return cell.where("bits") == 64 ? DType::f64 : DType::f32; }

Measurement set_by_hand(const Plan& plan, const Cell& cell) {
  const Tensor x =
      spread_samples(plan.samples, kUnits, cell.where("offset"), cell.seed).to(dtype_of(cell));
  nn::BatchNorm1d layer(kUnits);
  layer.initialize(cell.seed);
  layer.to(x.dtype());
  if (cell.arm == kWith) undo(layer, x);
  Measurement measurement;
  measurement.values["error"] = relative_error(layer.forward(x), x);
  return measurement;
}

/// What a first layer with random weights makes of the data: inputs of a batch norm as it gets
/// them.
class Preactivations {
 public:
  Preactivations(const Plan& plan, const Cell& cell)
      : loader_(plan.material.splits.train, options(plan, cell)), dtype_(dtype_of(cell)) {
    if (plan.material.sample().rank() > 1) layers_.add(nn::Flatten());
    layers_.add(nn::Linear(plan.material.sample().numel(), kUnits));
    layers_.initialize(cell.seed);
    layers_.eval();
    loader_.start(0);
  }

  Tensor next() {
    data::Batch batch;
    while (!loader_.next(batch)) loader_.start(++epoch_);
    return layers_.forward(batch.x).to(dtype_);
  }
  Tensor of(const Plan& plan, const data::Dataset& part) {
    data::LoaderOptions all;
    all.batch_size = part.size();
    all.normalization = plan.material.normalization;
    all.prefetch = false;
    data::Loader loader(part, all);
    loader.start(0);
    data::Batch batch;
    loader.next(batch);
    return layers_.forward(batch.x).to(dtype_);
  }

 private:
  static data::LoaderOptions options(const Plan& plan, const Cell& cell) {
    data::LoaderOptions options;
    options.batch_size = std::min<std::int64_t>(64, plan.material.splits.train.size());
    options.shuffle = true;
    options.last = data::LastBatch::drop;
    options.normalization = plan.material.normalization;
    options.seed = cell.seed;
    options.prefetch = false;
    return options;
  }

  data::Loader loader_;
  nn::Sequential layers_;
  DType dtype_;
  std::int64_t epoch_ = 0;
};

Measurement learn(const Plan& plan, const Cell& cell) {
  Preactivations inputs(plan, cell);
  nn::BatchNorm1d layer(kUnits);
  layer.initialize(cell.seed);
  layer.to(dtype_of(cell));
  optim::Sgd optimizer(optim::make_groups(layer), {.momentum = 0});
  // The loss is a mean over the units: at this rate each step takes a tenth of what is left.
  const double rate = 0.05 * static_cast<double>(kUnits);
  const nn::MeanSquaredError squared_error;
  Measurement measurement;
  Series& curve = measurement.series["error"];
  double last = 0;
  const std::int64_t last_part = std::max<std::int64_t>(1, plan.steps / 10);
  Tensor x = inputs.next();
  for (std::int64_t step = 0; step < plan.steps; ++step) {
    if (cell.where("task") == static_cast<double>(Task::fresh_batches)) x = inputs.next();
    layer.zero_grad();
    const Tensor y = layer.forward(x);
    layer.backward(squared_error(y, x).gradient);
    if (cell.arm == kWith) optimizer.step(rate);
    const double error = relative_error(y, x);
    if (step % std::max<std::int64_t>(1, plan.steps / 100) == 0) {
      curve.x.push_back(static_cast<double>(step));
      curve.y.push_back(error);
    }
    if (step >= plan.steps - last_part) last += error / static_cast<double>(last_part);
  }
  measurement.values["error"] = last;
  layer.eval();
  const Tensor unseen = inputs.of(plan, plan.material.splits.test);
  measurement.values["eval_error"] = relative_error(layer.forward(unseen), unseen);
  return measurement;
}

Cell cell_of(const std::string& arm, Task task, int bits, std::uint64_t seed) {
  return {.arm = arm,
          .at = {{"task", static_cast<double>(task)}, {"bits", static_cast<double>(bits)}},
          .seed = seed};
}

std::vector<Result> measure_all(Session& session, const Plan& plan) {
  std::vector<Cell> cells;
  for (const std::string& arm : {kWith, kWithout}) {
    for (const std::uint64_t seed : session.seed_list()) {
      for (const int bits : {32, 64}) {
        for (const double offset : plan.offsets) {
          Cell cell = cell_of(arm, Task::by_hand, bits, seed);
          cell.at.emplace_back("offset", offset);
          cells.push_back(cell);
        }
        for (const Task task : {Task::one_batch, Task::fresh_batches}) {
          cells.push_back(cell_of(arm, task, bits, seed));
          cells.back().cost = 5;
        }
      }
    }
  }
  double cost = 0;
  for (const Cell& cell : cells) cost += cell.cost;
  session.expect(cost);
  return session.measure(cells, [&plan](const Cell& cell) {
    return cell.where("task") == static_cast<double>(Task::by_hand) ? set_by_hand(plan, cell)
                                                                    : learn(plan, cell);
  });
}

std::vector<const Result*> select(const std::vector<Result>& results, const std::string& arm,
                                  Task task, int bits) {
  std::vector<const Result*> found;
  for (const Result* result : of_arm_at(results, arm, "task", static_cast<double>(task))) {
    if (result->cell.where("bits") == bits) found.push_back(result);
  }
  return found;
}

/// log10 of the mean error of each seed.
std::vector<double> decades(const Session& session, const std::vector<const Result*>& results,
                            const std::string& value) {
  std::vector<double> means;
  for (const std::uint64_t seed : session.seed_list()) {
    std::vector<double> errors;
    for (const Result* result : results) {
      if (result->cell.seed == seed) errors.push_back(result->value(value));
    }
    means.push_back(std::log10(mean_of(errors)));
  }
  return means;
}

/// One way of using γ and β: a check and a row of the table.
struct Way {
  std::string text;
  Task task;
  int bits;
  std::string value;
  double margin;  ///< in decades
};

const std::vector<Way>& ways() {
  static const std::vector<Way> all{
      {"set by hand, float32", Task::by_hand, 32, "error", 6},
      {"set by hand, float64", Task::by_hand, 64, "error", 14},
      {"learned from one batch, float32", Task::one_batch, 32, "error", 3},
      {"learned from fresh batches, evaluated", Task::fresh_batches, 32, "eval_error", 0.5}};
  return all;
}

void check_and_tabulate(Session& session, const std::vector<Result>& results) {
  DataTable table{"Error relative to the input (geometric means over the seeds)",
                  {"", kWith, kWithout, "decades less (95 % interval)"}};
  const auto add = [&](const Way& way, bool checked) {
    const auto with = decades(session, select(results, kWith, way.task, way.bits), way.value);
    const auto without = decades(session, select(results, kWithout, way.task, way.bits), way.value);
    const auto less = differences(without, with);
    if (checked) {
      session.add(check_difference("closer to the input: " + way.text,
                                   "decades of error, without − with", less, way.margin));
    }
    table.rows.push_back({way.text, short_text(std::pow(10, mean_of(with))),
                          short_text(std::pow(10, mean_of(without))),
                          interval_text(interval_of(less))});
  };
  for (const Way& way : ways()) add(way, true);
  add({"learned from one batch, float64", Task::one_batch, 64, "error", 0}, false);
  add({"learned from fresh batches, in training", Task::fresh_batches, 32, "error", 0}, false);
  session.add(table);
}

void draw(Session& session, const Plan& plan, const std::vector<Result>& results) {
  Chart by_hand{.id = "by-hand",
                .title = "Distance from the identity, γ and β set by hand",
                .note =
                    "Root mean square of output − input over that of the input. Means over the "
                    "seeds; bands are 95 % intervals of the mean.",
                .x = {.label = "mean of a unit in units of its spread", .scale = Scale::log},
                .y = {.label = "relative error", .scale = Scale::log},
                .headline = true};
  Chart learned{.id = "learned",
                .title = "γ and β learned by gradient descent on ‖output − input‖²",
                .note =
                    "Fresh batches of 64 each have statistics of their own, which no fixed γ "
                    "and β can undo.",
                .x = {.label = "training steps"},
                .y = {.label = "relative error in training", .scale = Scale::log}};
  for (const int bits : {32, 64}) {
    for (const std::string& arm : {kWith, kWithout}) {
      const auto cells = select(results, arm, Task::by_hand, bits);
      ChartSeries series;
      series.name = fmt::format("{}, float{}", arm, bits);
      series.dash = arm == kWithout;
      for (const double offset : plan.offsets) {
        std::vector<double> errors;
        for (const Result* result : cells) {
          if (result->cell.where("offset") == offset) errors.push_back(result->value("error"));
        }
        add_point(series, offset, errors);
      }
      by_hand.series.push_back(series);
    }
    learned.series.push_back(mean_curve(fmt::format("one batch, float{}", bits),
                                        select(results, kWith, Task::one_batch, bits), "error"));
  }
  learned.series.push_back(
      mean_curve("fresh batches", select(results, kWith, Task::fresh_batches, 32), "error"));
  learned.series.push_back(
      mean_curve(kWithout, select(results, kWithout, Task::one_batch, 32), "error"));
  learned.series.back().dash = true;
  session.add(by_hand);
  session.add(learned);
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const auto results = measure_all(session, plan);
  check_and_tabulate(session, results);
  draw(session, plan, results);
  session.describe(
      {fmt::format("By hand: batches of {} samples of {} units, each normal with a spread of its "
                   "own between 0.1 and 10 and a mean of {:g} to {:g} spreads. γ = √(σ² + ε) and β "
                   "= μ of the batch, against γ = 1 and β = 0, in float32 and float64, {} seeds.",
                   plan.samples, kUnits, plan.offsets.front(), plan.offsets.back(),
                   session.seeds()),
       fmt::format("Learned: a batch norm alone, behind a first layer with random weights on the "
                   "data, is trained for {} steps of plain gradient descent to give its input "
                   "back; from one batch of 64, and from batches of 64 drawn anew.",
                   plan.steps)});
  const auto error = [&](const std::string& arm, Task task, int bits, const std::string& value) {
    return short_text(
        std::pow(10, mean_of(decades(session, select(results, arm, task, bits), value))));
  };
  session.conclude(fmt::format(
      "Set by hand, γ and β left a relative error of {} in float32 and {} in float64, where γ = 1 "
      "and β = 0 left {}; learned from fresh batches, {} in evaluation and {} in training.",
      error(kWith, Task::by_hand, 32, "error"), error(kWith, Task::by_hand, 64, "error"),
      error(kWithout, Task::by_hand, 32, "error"),
      error(kWith, Task::fresh_batches, 32, "eval_error"),
      error(kWith, Task::fresh_batches, 32, "error")));
}

}  // namespace

Experiment identity() {
  return {.name = "identity",
          .title = "γ and β can undo normalization",
          .claim =
              "The learned scale γ and shift β can restore what normalization takes away: "
              "with γ = σ and β = μ the layer gives its input back.",
          .source = "Ioffe and Szegedy 2015, section 3, https://arxiv.org/abs/1502.03167",
          .question =
              "How far is a batch norm from the identity with γ and β set to the batch's own "
              "spread and mean, how far does gradient descent get there, and what remains?",
          .supports =
              "Errors below those of a layer without γ and β: by hand at the last digits, 6 "
              "decades lower in float32 and 14 in float64; learned, 3 decades lower from one "
              "batch, and half a decade in evaluation from fresh ones.",
          .contradicts =
              "Errors that are as much higher with γ and β. Errors like those of a layer "
              "without them, or lower by less than that, leave a check unclear.",
          .practice =
              {"Keep γ and β where nothing behind the layer can scale and shift; in front of a "
               "linear layer γ may be left out, as it can take its part.",
               "Only fixed statistics can be undone exactly. In training every batch has its own, "
               "and that noise stays whatever γ and β are; evaluation is free of it."},
          .needs = Needs::features,
          .contrast = {kWith, kWithout},
          .quick_seconds = 3,
          .full_seconds = 30,
          .run = run};
}

}  // namespace evenkeel::lab
