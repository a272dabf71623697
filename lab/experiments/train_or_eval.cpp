// Training mode where eval mode belongs: answers that depend on the rest of the batch.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/rows.h"
#include "lab/predictions.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/small_nets.h"
#include "lab/trial.h"
#include <evenkeel/deploy/recalibrate.h>
#include <evenkeel/nn/layers/activation.h>

namespace evenkeel::lab {
namespace {

const std::string kEval = "eval mode";
const std::string kTrain = "training mode";
const std::string kAnew = "recalibrated";  // eval mode, statistics of data like those tested
constexpr std::int64_t kUsual = 64;        // the batch size of training, and of most conditions
constexpr double kContrast = 0.7, kBrightness = 0.05;
constexpr double kRate = 0.1;

struct Plan {
  Material material;
  Material shifted;  // the same, its held-back and test parts with another contrast
  data::Dataset sorted, shifted_sorted;
  std::vector<std::int64_t> sizes;
  std::int64_t steps;
  std::vector<std::int64_t> full_widths, conv_widths;
};

Plan plan_of(const Session& session) {
  Plan plan{session.material().limited(session.pick<std::int64_t>(6000, 0, 200),
                                       session.pick<std::int64_t>(1000, 5000, 60),
                                       session.pick<std::int64_t>(2000, 0, 80)),
            {},
            {},
            {},
            {1, 2, 4, 8, 16, 32, 64, 256},
            session.pick<std::int64_t>(400, 3000, 10),
            session.pick<std::vector<std::int64_t>>({128, 64}, {256, 128}, {16, 16}),
            session.pick<std::vector<std::int64_t>>({8, 16, 32}, {32, 64, 64}, {8, 8})};
  plan.shifted = plan.material;
  data::Splits& splits = plan.shifted.splits;
  splits.validation = shifted(splits.validation, kContrast, kBrightness);
  splits.test = shifted(splits.test, kContrast, kBrightness);
  plan.sorted = sorted_by_label(plan.material.splits.test);
  plan.shifted_sorted = sorted_by_label(splits.test);
  return plan;
}

SmallNet net_of(const Plan& plan, bool conv) {
  return {.convolutional = conv,
          .widths = conv ? plan.conv_widths : plan.full_widths,
          .bias = false,
          .tail = [](nn::Sequential& network, const Place& place) {
            network.add(make_batch_norm(place));
            network.add(nn::ReLU());
          }};
}

/// How one trained network answers, in the way of an arm.
class Answers {
 public:
  Answers(const Plan& plan, const SmallNet& net, const std::string& arm, const Trained& trained)
      : plan_(plan), arm_(arm), layout_(layout_for(net)) {
    plain_ = prepared(trained, plan.material);
    other_ = prepared(trained, plan.shifted);
  }

  double accuracy(const data::Dataset& part, bool shifted, std::int64_t size) const {
    return agreement(labels(part, shifted, size), part.labels);
  }

  /// The share of samples that get another label when they stand among others.
  double changed(std::uint64_t seed) const {
    const data::Dataset& test = plan_.material.splits.test;
    const auto order = shuffled_order(test.size(), seed);
    const auto before = labels(test, false, kUsual);
    const auto moved = labels(test.select(order), false, kUsual);
    std::vector<std::int32_t> after(before.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      after[static_cast<std::size_t>(order[i])] = moved[i];
    }
    return 1 - agreement(before, after);
  }

 private:
  std::unique_ptr<nn::Module> prepared(const Trained& trained, const Material& data) const {
    std::unique_ptr<nn::Module> network = trained.network->clone();
    if (arm_ == kAnew && !trained.diverged) {
      deploy::RecalibrationOptions options;
      options.layout = layout_;
      deploy::recalibrate(*network, data.splits.validation, data.normalization, options);
    }
    return network;
  }

  std::vector<std::int32_t> labels(const data::Dataset& part, bool shifted,
                                   std::int64_t size) const {
    const auto mode = arm_ == kTrain ? train::EvalMode::train : train::EvalMode::eval;
    return predictions(shifted ? *other_ : *plain_, plan_.material, part,
                       {.batch_size = size, .layout = layout_, .mode = mode});
  }

  const Plan& plan_;
  std::string arm_;
  Layout layout_;
  std::unique_ptr<nn::Module> plain_, other_;
};

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const bool conv = cell.where("convolutional") != 0;
    const SmallNet net = net_of(plan, conv);
    Trial trial;
    trial.network = builder(plan.material, net);
    trial.layout = layout_for(net);
    trial.seed = cell.seed;
    trial.steps = plan.steps;
    trial.batch_size = kUsual;
    trial.rate = kRate;
    trial.schedule = "cosine";
    const Trained trained = train(plan.material, trial);
    const Answers answers(plan, net, cell.arm, trained);
    const data::Dataset& test = plan.material.splits.test;
    const data::Dataset& shifted_test = plan.shifted.splits.test;
    Measurement result;
    Series& curve = result.series["accuracy"];
    for (const std::int64_t size : plan.sizes) {
      if (size == 1 && !conv) continue;  // one value per channel
      curve.x.push_back(static_cast<double>(size));
      curve.y.push_back(answers.accuracy(test, false, size));
      result.values[fmt::format("random {}", size)] = curve.y.back();
    }
    result.values["sorted"] = answers.accuracy(plan.sorted, false, kUsual);
    result.values["shifted"] = answers.accuracy(shifted_test, true, kUsual);
    result.values["shifted and sorted"] = answers.accuracy(plan.shifted_sorted, true, kUsual);
    result.values["changed"] = answers.changed(cell.seed);
    return result;
  };
}

std::string name_of(bool conv) { return conv ? "convolutional" : "fully connected"; }

std::vector<double> values(const std::vector<Result>& results, const std::string& arm, bool conv,
                           const std::string& name) {
  return values_of(of_arm_at(results, arm, "convolutional", conv ? 1 : 0), name);
}

void check(Session& session, const std::vector<Result>& results) {
  for (const bool conv : {false, true}) {
    const auto compare = [&](const std::string& text, const std::string& name) {
      session.add(check_difference(
          fmt::format("{}: {}", name_of(conv), text), "accuracy, eval mode − training mode",
          differences(values(results, kEval, conv, name), values(results, kTrain, conv, name)),
          0.005));
    };
    if (conv) compare("higher accuracy in eval mode, one sample at a time", "random 1");
    compare("higher accuracy in eval mode, random batches of 2", "random 2");
    compare("higher accuracy in eval mode, batches sorted by label", "sorted");
    session.add(check_difference(
        fmt::format("{}: fewer labels depend on the rest of the batch", name_of(conv)),
        "share of samples with another label among others, training mode − eval mode",
        differences(values(results, kTrain, conv, "changed"),
                    values(results, kEval, conv, "changed")),
        0.005));
    compare("higher accuracy in eval mode, shifted data", "shifted");
  }
}

const std::vector<std::pair<std::string, std::string>>& conditions() {
  static const std::vector<std::pair<std::string, std::string>> all{
      {"random 64", "as in training"},
      {"sorted", "sorted by label"},
      {"shifted", "shifted"},
      {"shifted and sorted", "shifted and sorted"}};
  return all;
}

void draw(Session& session, const std::vector<Result>& results) {
  Chart headline{.id = "batch",
                 .title = "Test accuracy by the batch size of evaluation, random batches",
                 .note =
                     "One network per seed, trained with batches of 64, evaluated both ways. "
                     "Means over the seeds; bands are 95 % intervals of the mean.",
                 .x = {.label = "batch size in evaluation", .scale = Scale::log},
                 .y = {.label = "test accuracy", .unit = "%"},
                 .headline = true};
  for (const bool conv : {false, true}) {
    int color = 0;
    for (const std::string& arm : {kEval, kTrain}) {
      ChartSeries series =
          mean_curve(arm + ", " + name_of(conv),
                     of_arm_at(results, arm, "convolutional", conv ? 1 : 0), "accuracy", 100);
      series.color = color++;
      series.dash = conv;
      headline.series.push_back(std::move(series));
    }
  }
  session.add(std::move(headline));
  for (const bool conv : {false, true}) {
    Chart chart{.id = conv ? "convolutional" : "full",
                .title = fmt::format("Batches of {}, {} network", kUsual, name_of(conv)),
                .note = "Bars: means over the seeds; whiskers: 95 % intervals.",
                .type = ChartType::bar,
                .x = {.label = "test data", .scale = Scale::category},
                .y = {.label = "test accuracy", .unit = "%"}};
    for (const auto& [name, label] : conditions()) chart.x.categories.push_back(label);
    for (const std::string& arm : {kEval, kTrain, kAnew}) {
      ChartSeries series;
      series.name = arm;
      double at = 0;
      for (const auto& [name, label] : conditions()) {
        add_point(series, at++, values(results, arm, conv, name), 100);
      }
      chart.series.push_back(std::move(series));
    }
    session.add(std::move(chart));
  }
}

DataTable table_of(const std::vector<Result>& results, bool conv) {
  DataTable table{fmt::format("Test accuracy, {} network: mean (95 % interval)", name_of(conv)),
                  {"", conv ? "one sample" : "batches of 2"}};
  for (const auto& [name, label] : conditions()) table.columns.push_back(label);
  table.columns.emplace_back("labels that change");
  for (const std::string& arm : {kEval, kTrain, kAnew}) {
    std::vector<std::string> row{arm};
    const auto add = [&](const std::string& name) {
      row.push_back(percent_text(interval_of(values(results, arm, conv, name))));
    };
    add(conv ? "random 1" : "random 2");
    for (const auto& [name, label] : conditions()) add(name);
    add("changed");
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> setup(const Session& session, const Plan& plan) {
  return {
      fmt::format(
          "Two networks with batch norm and ReLU: fully connected ({} units), and convolutional "
          "(3×3 of stride 2 with {} channels), trained for {} steps with batches of {}, momentum "
          "0.9, rate {:g} falling along a cosine. Both modes judge the same trained network, so no "
          "rate is chosen between them; {} seeds.",
          fmt::join(plan.full_widths, " and "), fmt::join(plan.conv_widths, ", "), plan.steps,
          kUsual, kRate, session.seeds()),
      "Training mode normalizes by the batch that is evaluated, eval mode by the running averages. "
      "One sample of the fully connected network is one value per channel, whose variance is 0: "
      "training mode cannot answer at all, so it begins with batches of 2. A convolution still has "
      "the positions of the map.",
      fmt::format(
          "Sorted: every batch of {} holds one class, or two. Shifted: values v from 0 to 1 become "
          "{:g}·(v − 0.5) + 0.5 + {:g}, clipped. Recalibrated: eval mode with running averages "
          "taken anew from held-back samples without labels, shifted where the test samples are. "
          "Labels that change: the share of test samples that get another label when the order "
          "of the test part is drawn anew.",
          kUsual, kContrast, kBrightness)};
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<Cell> cells;
  for (const bool conv : {true, false}) {
    for (const std::string& arm : {kEval, kTrain, kAnew}) {
      for (const std::uint64_t seed : session.seed_list()) {
        cells.push_back({.arm = arm,
                         .at = {{"convolutional", conv ? 1 : 0}},
                         .seed = seed,
                         .cost = conv ? 3.0 : 1.0});
      }
    }
  }
  session.expect(3.0 * 4 * session.seeds());
  const std::vector<Result> results = session.measure(cells, measure_with(plan));
  session.describe(setup(session, plan));
  check(session, results);
  draw(session, results);
  for (const bool conv : {false, true}) session.add(table_of(results, conv));
  const auto text = [&](const std::string& arm, const std::string& name) {
    return fmt::format("{:.1f} %", 100 * mean_of(values(results, arm, false, name)));
  };
  session.conclude(fmt::format(
      "The fully connected network was right on {} of the test samples in eval mode and on {} in "
      "training mode with batches of 2, on {} and {} with batches sorted by label, and on {} and "
      "{} "
      "with shifted data, where statistics taken anew gave {}.",
      text(kEval, "random 2"), text(kTrain, "random 2"), text(kEval, "sorted"),
      text(kTrain, "sorted"), text(kEval, "shifted"), text(kTrain, "shifted"),
      text(kAnew, "shifted")));
}

}  // namespace

Experiment train_or_eval() {
  return {.name = "train-or-eval",
          .title = "Training mode at inference",
          .claim =
              "Evaluating a network with batch norm in training mode is wrong: its answers then "
              "depend on the other samples of the batch.",
          .source =
              "Ioffe and Szegedy 2015, section 3.1, https://arxiv.org/abs/1502.03167; for "
              "shifted data, Nado et al. 2020, https://arxiv.org/abs/2006.10963, and "
              "Schneider et al. 2020, https://arxiv.org/abs/2006.16971",
          .question =
              "How accurate is the same trained network in either mode: with random batches of "
              "every size, batches sorted by label, and data that are darker or paler than those "
              "of training?",
          .supports =
              "A higher accuracy in eval mode, with random batches of 2 and (convolutional) one "
              "sample at a time, with batches sorted by label and on shifted data, and fewer "
              "labels that depend on the rest of the batch.",
          .contradicts =
              "A higher accuracy in training mode under one of these conditions, by half a point "
              "or more, or fewer labels that depend on the batch. As high an accuracy leaves a "
              "check unclear.",
          .practice =
              {"Call eval() before you evaluate or deploy, train() before you train on; a test "
               "accuracy that depends on the batch size or the order of the samples gives the "
               "mistake away.",
               "If data in use differ from those of training in contrast, brightness or sensor, "
               "take the running averages anew from unlabelled samples of that data (`evenkeel "
               "recalibrate`) rather than evaluate in training mode: that depends on no batch."},
          .needs = Needs::images,
          .contrast = {kEval, kTrain},
          .quick_seconds = 20,
          .full_seconds = 600,
          .run = run};
}

}  // namespace evenkeel::lab
