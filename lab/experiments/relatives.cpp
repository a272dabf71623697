// Relatives of batch norm, each where it is said to do better.

#include <fmt/format.h>

#include "lab/conv_stack.h"
#include "lab/experiments/rows.h"
#include "lab/outputs.h"
#include "lab/rates.h"
#include "lab/session.h"
#include "lab/trial.h"
#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/encoder.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/positional.h>
#include <evenkeel/nn/layers/sequential.h>
#include <evenkeel/nn/layers/time_pool.h>

namespace evenkeel::lab {
namespace {

const std::string kRelative = "the relative";
const std::string kBatch = "batch norm";

/// What a cell tries; `at` has it as "task".
enum class Task : std::uint8_t {
  encoder,  ///< layer norm in self-attention
  style,    ///< instance norm against contrast and brightness
  small     ///< group norm with two images in a batch
};

/// How a task is tried.
struct Recipe {
  std::string norm;  ///< the relative's word
  std::vector<double> rates;
  std::int64_t batch_size, steps, every;
  double cost;  ///< of a run
};

struct Plan {
  Material images, sequences;
  std::vector<std::int64_t> widths;  ///< of convolutions
  std::int64_t embed;                ///< of the encoder
  std::vector<double> contrasts;     ///< the lowest that images may get; from 1, as they are
  std::map<Task, Recipe> recipes;

  const Recipe& of(const Cell& cell) const { return recipes.at(task_of(cell)); }
  static Task task_of(const Cell& cell) { return static_cast<Task>(cell.where("task")); }
};

Plan plan_of(const Session& session) {
  using Rates = std::vector<double>;
  const auto steps = [&](std::int64_t quick, std::int64_t full) {
    return session.pick<std::int64_t>(quick, full, 10);
  };
  const auto every = [&](std::int64_t quick, std::int64_t full) {
    return session.pick<std::int64_t>(quick, full, 5);
  };
  Plan plan;
  plan.images = session.material().limited(session.pick<std::int64_t>(6000, 0, 200),
                                           session.pick<std::int64_t>(500, 5000, 50),
                                           session.pick<std::int64_t>(600, 2000, 50));
  plan.sequences = as_sequences(plan.images);
  plan.widths = session.pick<std::vector<std::int64_t>>({8, 16, 16}, {32, 64, 64}, {4, 4});
  plan.embed = session.pick<std::int64_t>(32, 64, 8);
  plan.contrasts = session.pick<Rates>({1, 0.8, 0.6, 0.4, 0.2}, {1, 0.8, 0.6, 0.4, 0.2}, {1, 0.5});
  const auto encoder_rates =
      session.pick<Rates>({0.001, 0.003, 0.01}, {0.0003, 0.001, 0.003, 0.01}, {0.003});
  const auto rates = session.pick<Rates>({0.01, 0.03, 0.1}, {0.003, 0.01, 0.03, 0.1}, {0.01, 0.03});
  const auto small_rates =
      session.pick<Rates>({0.001, 0.003, 0.01}, {0.0003, 0.001, 0.003, 0.01}, {0.003});
  plan.recipes = {
      {Task::encoder, {"layer", encoder_rates, 16, steps(450, 10'000), every(50, 500), 1.5}},
      {Task::style, {"instance", rates, 64, steps(150, 3000), every(50, 500), 1}},
      {Task::small, {"group:4", small_rates, 2, steps(800, 20'000), every(100, 1000), 0.7}}};
  return plan;
}

/// Self-attention over the rows of the image.
std::unique_ptr<nn::Module> build_encoder(const Plan& plan, const std::string& norm,
                                          std::uint64_t seed) {
  nn::EncoderOptions layer;
  layer.feedforward_dim = 2 * plan.embed;
  layer.norm = norm;
  layer.dropout = 0;
  auto network = std::make_unique<nn::Sequential>();
  network->add(nn::Conv1d(plan.sequences.sample()[0], plan.embed, 1));
  network->add(nn::PositionalEncoding(plan.embed));
  for (int i = 0; i < 2; ++i) network->add(nn::EncoderLayer(plan.embed, 4, layer));
  network->add(nn::MeanOverTime());
  network->add(model::parse_norm(norm).kind->make({.features = plan.embed}));
  network->add(nn::Linear(plan.embed, plan.sequences.classes()));
  network->initialize(seed);
  return network;
}

std::string norm_of(const Plan& plan, const Cell& cell) {
  return cell.arm == kBatch ? "batch" : plan.of(cell).norm;
}

std::string at_contrast(const std::string& value, double contrast) {
  return fmt::format("{} at {:g}", value, contrast);
}

/// Accuracy on images whose contrast and brightness were drawn one by one, and how far the outputs
/// are from those of the images as they were; for every lowest contrast, and means over all
/// below 1.
void look_at_style(const Plan& plan, nn::Module& network, std::uint64_t seed,
                   Measurement& measurement) {
  const data::Dataset& test = plan.images.splits.test;
  const Tensor before = outputs_of(network, plan.images, test, Layout::channels_last);
  std::vector<double> accuracies, changes;
  for (const double contrast : plan.contrasts) {
    const data::Dataset moved = shifted_each(test, contrast, seed);
    const double accuracy = accuracy_on(network, plan.images, moved, Layout::channels_last);
    const double change =
        change_of(before, outputs_of(network, plan.images, moved, Layout::channels_last));
    measurement.values[at_contrast("accuracy", contrast)] = accuracy;
    measurement.values[at_contrast("change", contrast)] = change;
    if (contrast == 1) continue;
    accuracies.push_back(accuracy);
    changes.push_back(change);
  }
  measurement.values["shifted"] = mean_of(accuracies);
  measurement.values["change"] = mean_of(changes);
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const Recipe& recipe = plan.of(cell);
    const Task task = Plan::task_of(cell);
    const bool tuning = cell.stage == "tune", encoder = task == Task::encoder;
    const Material& material = encoder ? plan.sequences : plan.images;
    Trial trial;
    trial.network = [&](std::uint64_t seed) {
      const std::string norm = norm_of(plan, cell);
      return encoder ? build_encoder(plan, norm, seed)
                     : conv_stack(plan.images, plan.widths, norm_behind(norm), seed);
    };
    trial.layout = Layout::channels_last;
    trial.seed = cell.seed;
    trial.batch_size = recipe.batch_size;
    trial.steps = recipe.steps;
    trial.rate = cell.where("rate");
    if (encoder) {
      trial.optimizer = "adamw";
      trial.clip = 1;
    }
    trial.evaluate_every = tuning ? 0 : recipe.every;
    trial.watched = tuning ? &material.splits.validation : &material.splits.test;
    const Trained trained = train(material, trial);
    Measurement measurement = summarize(trained, cell);
    if (!tuning && task == Task::style) {
      look_at_style(plan, *trained.network, cell.seed, measurement);
    }
    return measurement;
  };
}

std::pair<std::string, double> at(Task task) { return {"task", static_cast<double>(task)}; }

std::string text_of(Task task) {
  return task == Task::encoder ? "self-attention"
         : task == Task::style ? "convolutions"
                               : "batches of two";
}

/// What came of everything, by task.
struct Findings {
  std::map<Task, std::map<std::string, double>> rates;
  std::vector<Result> results;

  std::vector<const Result*> of(const std::string& arm, Task task) const {
    return of_arm_at(results, arm, "task", static_cast<double>(task));
  }
  std::vector<double> values(const std::string& arm, Task task,
                             const std::string& value = "accuracy") const {
    return values_of(of(arm, task), value);
  }
};

Findings measure_all(Session& session, const Plan& plan) {
  const std::vector<std::string> arms{kRelative, kBatch};
  const Measure measure = measure_with(plan);
  double expected = 0;
  for (const auto& [task, recipe] : plan.recipes) {
    expected += 2 * recipe.cost * (static_cast<double>(recipe.rates.size()) + session.seeds());
  }
  session.expect(expected);
  Findings findings;
  std::vector<Cell> cells;
  for (const auto& [task, recipe] : plan.recipes) {
    findings.rates[task] =
        best_rates(session,
                   {.arms = arms,
                    .rates = recipe.rates,
                    .at = {at(task)},
                    .cost = recipe.cost,
                    .title = fmt::format("Learning rates tried, {}: accuracy on the held-back part",
                                         text_of(task))},
                   measure);
    for (Cell cell : final_cells(session, arms, findings.rates[task], recipe.cost)) {
      cell.at.insert(cell.at.begin(), at(task));
      cells.push_back(std::move(cell));
    }
  }
  findings.results = session.measure(cells, measure);
  return findings;
}

/// One check for each relative, so that none speaks twice in the verdict.
void check(Session& session, const Findings& findings) {
  const auto accuracy = [&](const std::string& text, Task task, double margin) {
    session.add(check_difference(
        text, "accuracy, relative − batch norm",
        differences(findings.values(kRelative, task), findings.values(kBatch, task)), margin));
  };
  accuracy("layer norm: higher accuracy of self-attention", Task::encoder, 0.005);
  session.add(check_difference(
      "instance norm: outputs change less with the contrast and brightness of single images",
      "change of the outputs in their deviations, batch norm − instance norm",
      differences(findings.values(kBatch, Task::style, "change"),
                  findings.values(kRelative, Task::style, "change")),
      0.1));
  accuracy("group norm: higher accuracy with batches of two", Task::small, 0.01);
}

/// A bar of each arm: accuracy in one condition.
struct Condition {
  std::string text;
  Task task;
  std::string value = "accuracy";
};

void draw(Session& session, const Findings& findings) {
  const std::vector<Condition> conditions{
      {"self-attention: layer norm", Task::encoder},
      {"images as in training: instance norm", Task::style},
      {"contrast and brightness drawn: instance norm", Task::style, "shifted"},
      {"batches of two: group norm", Task::small}};
  Chart chart{
      .id = "tasks",
      .title = "Each relative where it is recommended, against batch norm",
      .note = "Whiskers: 95 % intervals of the mean.",
      .type = ChartType::bar,
      .x = {.label = "task and relative", .scale = Scale::category},
      .y = {.label = "test accuracy", .unit = "%"},
      .headline = true,
      .series = {{.name = kRelative, .x = {}, .y = {}}, {.name = kBatch, .x = {}, .y = {}}}};
  DataTable table{"Test accuracy: mean (95 % interval)", {"", "the relative", kBatch}};
  for (const Condition& condition : conditions) {
    const auto x = static_cast<double>(chart.x.categories.size());
    chart.x.categories.push_back(condition.text);
    table.rows.push_back({condition.text});
    for (ChartSeries& series : chart.series) {
      const auto values = findings.values(series.name, condition.task, condition.value);
      add_point(series, x, values, 100);
      table.rows.back().push_back(percent_text(interval_of(values)));
    }
  }
  table.rows.push_back({"change of the outputs with contrast and brightness, in their deviations"});
  for (const ChartSeries& series : chart.series) {
    table.rows.back().push_back(
        interval_text(interval_of(findings.values(series.name, Task::style, "change"))));
  }
  session.add(chart);
  session.add(table);
}

const std::string kDrawn =
    "value ← ½ + c·(value − ½) + b for every image, c drawn between the lowest contrast and 1, b "
    "as far as nothing is clipped. Means over the seeds; bands are 95 % intervals of the mean.";

void draw_more(Session& session, const Plan& plan, const Findings& findings) {
  Chart change{.id = "change",
               .title = "How far outputs move with contrast and brightness of single images",
               .note = kDrawn,
               .x = {.label = "lowest contrast, in multiples of that of training"},
               .y = {.label = "change of the outputs", .unit = "deviations"}};
  Chart accuracy{.id = "contrast",
                 .title = "Accuracy on images of other contrast and brightness than in training",
                 .note = kDrawn,
                 .x = change.x,
                 .y = {.label = "test accuracy", .unit = "%"}};
  for (const std::string& arm : {kRelative, kBatch}) {
    ChartSeries moved, right;
    moved.name = right.name = arm == kRelative ? "instance norm" : "batch norm";
    for (const double value : plan.contrasts) {
      add_point(moved, value, findings.values(arm, Task::style, at_contrast("change", value)));
      add_point(right, value, findings.values(arm, Task::style, at_contrast("accuracy", value)),
                100);
    }
    change.series.push_back(moved);
    accuracy.series.push_back(right);
  }
  session.add(change);
  session.add(accuracy);
  for (const Task task : {Task::encoder, Task::small}) {
    const bool encoder = task == Task::encoder;
    session.add(
        Chart{.id = encoder ? "encoder" : "small",
              .title = encoder ? "Self-attention against training steps"
                               : "Convolutions with two images in a batch, against training steps",
              .x = {.label = "training steps"},
              .y = {.label = "test accuracy", .unit = "%"},
              .series = {mean_curve(encoder ? "layer norm" : "group norm",
                                    findings.of(kRelative, task), "accuracy", 100),
                         mean_curve(kBatch, findings.of(kBatch, task), "accuracy", 100)}});
  }
}

void describe(Session& session, const Plan& plan) {
  const Recipe &encoder = plan.recipes.at(Task::encoder), &style = plan.recipes.at(Task::style),
               &small = plan.recipes.at(Task::small);
  session.describe(
      {fmt::format("Self-attention: two encoder layers {} wide with 4 heads over the rows of "
                   "images, stretched to different lengths; layer norm or batch norm (over the "
                   "valid steps) before each part; AdamW, batches of {}, {} steps.",
                   plan.embed, encoder.batch_size, encoder.steps),
       fmt::format(
           "Style: {} convolutions of 3×3 ({} to {} channels) with instance or batch norm, "
           "batches of {}, {} steps; then every test image gets a contrast of its own, drawn from "
           "a lowest one to 1, and a brightness of its own, drawn as far as nothing is clipped. "
           "Change of the outputs: root mean square of how far they are from those of the images "
           "as they were, in units of the deviation of these over the images. This and the "
           "accuracy are means over lowest contrasts of {:g} to {:g}.",
           plan.widths.size(), plan.widths.front(), plan.widths.back(), style.batch_size,
           style.steps, plan.contrasts.at(1), plan.contrasts.back()),
       fmt::format("Small batches: the same convolutions with group norm of four groups or batch "
                   "norm, {} images in a batch, {} steps.",
                   small.batch_size, small.steps),
       fmt::format("Every arm of every task has the best learning rate of one grid, chosen on "
                   "held-back samples with another seed; {} seeds.",
                   session.seeds())});
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const Findings findings = measure_all(session, plan);
  check(session, findings);
  describe(session, plan);
  draw(session, findings);
  draw_more(session, plan, findings);
  const auto both = [&](Task task, const std::string& value) {
    return fmt::format("{:.1f} and {:.1f} %",
                       100 * mean_of(findings.values(kRelative, task, value)),
                       100 * mean_of(findings.values(kBatch, task, value)));
  };
  const auto change = [&](const std::string& arm) {
    return short_text(mean_of(findings.values(arm, Task::style, "change")));
  };
  session.conclude(fmt::format(
      "Relative and batch norm: self-attention with layer norm {}; where contrast and brightness "
      "differ from image to image, outputs changed by {} and {} deviations (instance norm; "
      "accuracy {}); group norm with batches of two {}.",
      both(Task::encoder, "accuracy"), change(kRelative), change(kBatch),
      both(Task::style, "shifted"), both(Task::small, "accuracy")));
}

}  // namespace

Experiment relatives() {
  return {.name = "relatives",
          .title = "Relatives of batch norm",
          .claim =
              "Other normalizations do better in places of their own: layer norm in "
              "transformers, instance norm where style must not matter, group norm with small "
              "batches.",
          .source =
              "Ba et al. 2016, https://arxiv.org/abs/1607.06450, and Xiong et al. 2020, "
              "section 3, https://arxiv.org/abs/2002.04745; Ulyanov et al. 2016, section 2, "
              "https://arxiv.org/abs/1607.08022; Wu and He 2018, section 4.1, "
              "https://arxiv.org/abs/1803.08494",
          .question =
              "Does each relative beat batch norm at the task it is recommended for, both at "
              "their best learning rates: accuracy of self-attention, outputs that stay when "
              "contrast and brightness of single images change, accuracy with two images in a "
              "batch?",
          .supports =
              "Higher accuracy with layer norm in self-attention, outputs that change less with "
              "instance norm, higher accuracy with group norm at two images in a batch; two of the "
              "three, and the opposite in none.",
          .contradicts =
              "Higher accuracy with batch norm, or outputs that change less with it. Where both do "
              "alike, the check stays unclear.",
          .practice =
              {"Transformers: layer norm (or RMS norm) is the default, most of all for text and "
               "for sequences of different lengths.",
               "Where brightness and contrast of single images must not matter, normalize each "
               "image: instance norm, or standardized inputs. Where they tell classes apart, do "
               "not.",
               "Below eight samples per device use group norm, or share statistics between "
               "devices."},
          .needs = Needs::images,
          .contrast = {kRelative, kBatch},
          .quick_seconds = 28,
          .full_seconds = 3000,
          .run = run};
}

}  // namespace evenkeel::lab
