// A smoother optimization landscape (Santurkar et al. 2018).

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lab/conv_stack.h"
#include "lab/experiments/rows.h"
#include "lab/rates.h"
#include "lab/session.h"
#include "lab/shift_noise.h"
#include "lab/trial.h"
#include <evenkeel/train/along_gradient.h>

namespace evenkeel::lab {
namespace {

const std::string kWith = "with batch norm";
const std::string kWithout = "without";
const std::string kNoisy = "noisy batch norm";

struct Plan {
  Material material;
  std::vector<std::int64_t> widths;
  std::vector<double> rates;
  std::int64_t batch_size, steps, every;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(6000, 0, 200),
                                     session.pick<std::int64_t>(500, 5000, 50),
                                     session.pick<std::int64_t>(1000, 0, 50)),
          session.pick<std::vector<std::int64_t>>({8, 16, 16, 16}, {32, 64, 64, 64}, {4, 4}),
          session.pick<std::vector<double>>({0.003, 0.01, 0.03, 0.1},
                                            {0.001, 0.003, 0.01, 0.03, 0.1}, {0.03, 0.1}),
          session.pick<std::int64_t>(32, 128, 16),
          session.pick<std::int64_t>(250, 3000, 10),
          session.pick<std::int64_t>(10, 60, 5)};
}

std::unique_ptr<nn::Module> build(const Plan& plan, const std::string& arm, std::uint64_t seed) {
  const BehindConv norm = norm_behind(arm == kWithout ? "none" : "batch");
  return conv_stack(
      plan.material, plan.widths,
      [&](nn::Sequential& net, std::int64_t channels) {
        norm(net, channels);
        if (arm == kNoisy) net.add(ShiftNoise());
      },
      seed);
}

/// The three quantities along the gradient, look by look.
class Looks {
 public:
  /// Where steps of plain gradient descent at half to four times the rate lead.
  explicit Looks(double rate) : steps_{rate / 2, rate, 2 * rate, 4 * rate} {}

  void look(std::int64_t step, const nn::Module& network, const data::Batch& batch) {
    double lowest = INFINITY, highest = 0, change = 0, roughness = 0;
    for (const train::StepPoint& point :
         train::along_gradient(network, batch.x, batch.labels, steps_)) {
      lowest = std::min(lowest, bounded(point.loss));
      highest = std::max(highest, bounded(point.loss));
      change = std::max(change, bounded(point.gradient_distance));
      roughness = std::max(roughness, bounded(point.gradient_distance / point.moved));
    }
    add(step, "range", highest - lowest);
    add(step, "change", change);
    add(step, "roughness", roughness);
  }
  /// The curves, and their geometric means as values.
  void report(Measurement& measurement) const {
    for (const auto& [name, series] : all_) {
      double logs = 0;
      for (const double y : series.y) logs += std::log(y) / static_cast<double>(series.y.size());
      measurement.values[name] = std::exp(logs);
      measurement.series[name] = series;
    }
  }

 private:
  /// A step far too long ends in numbers that are none: large ones, for a mean.
  static double bounded(double value) { return std::isfinite(value) ? std::min(value, 1e6) : 1e6; }
  void add(std::int64_t step, const std::string& name, double value) {
    all_[name].x.push_back(static_cast<double>(step));
    all_[name].y.push_back(std::max(value, 1e-9));
  }

  std::vector<double> steps_;
  std::map<std::string, Series> all_;
};

Measure measure_with(const Plan& plan, double look_rate) {
  return [&plan, look_rate](const Cell& cell) {
    const bool tuning = cell.stage == "tune";
    Trial trial;
    trial.network = [&](std::uint64_t seed) { return build(plan, cell.arm, seed); };
    trial.layout = Layout::channels_last;
    trial.seed = cell.seed;
    trial.batch_size = plan.batch_size;
    trial.rate = cell.where("rate");
    trial.steps = plan.steps;
    trial.evaluate_every = tuning ? 0 : 2 * plan.every;
    trial.watched = tuning ? &plan.material.splits.validation : &plan.material.splits.test;
    Looks looks(look_rate);
    if (!tuning) {
      trial.hooks.before = [&](std::int64_t step, nn::Module& network, const data::Batch& batch) {
        if (step % plan.every == 0) looks.look(step, network, batch);
      };
    }
    Measurement measurement = summarize(train(plan.material, trial), cell);
    if (!tuning) looks.report(measurement);
    return measurement;
  };
}

std::vector<double> mean_accuracies(const std::vector<const Result*>& results) {
  std::vector<double> means;
  for (const Result* result : results) means.push_back(mean_of(result->series("accuracy").y));
  return means;
}

/// What came of everything.
struct Findings {
  std::map<std::string, double> rates;
  double look_rate = 0;
  std::vector<Result> results;

  std::vector<const Result*> of(const std::string& arm) const { return of_arm(results, arm); }
  std::vector<double> ratios(const std::string& value) const {
    return log_ratios(values_of(of(kWithout), value), values_of(of(kWith), value));
  }
};

const std::vector<std::string>& arms() {
  static const std::vector<std::string> all{kWith, kWithout, kNoisy};
  return all;
}

Findings measure_all(Session& session, const Plan& plan) {
  const double look_cost = 1.6;  // of a run with looks, to one without
  session.expect(static_cast<double>(arms().size()) *
                 (static_cast<double>(plan.rates.size()) + look_cost * session.seeds()));
  Findings findings;
  findings.rates =
      best_rates(session, {.arms = arms(), .rates = plan.rates}, measure_with(plan, 0));
  // With momentum 0.9 a gradient that stays as it is moves the weights by ten times the rate.
  findings.look_rate = 10 * std::min(findings.rates.at(kWith), findings.rates.at(kWithout));
  findings.results = session.measure(final_cells(session, arms(), findings.rates, look_cost),
                                     measure_with(plan, findings.look_rate));
  return findings;
}

void check(Session& session, const Findings& findings) {
  session.add(check_ratio("the loss varies less along the gradient",
                          "range of the loss, without / with", findings.ratios("range"), 1.2));
  session.add(check_ratio("the gradient changes less along itself",
                          "largest change, without / with", findings.ratios("change"), 1.2));
  session.add(check_ratio("and less for the distance moved (effective smoothness)",
                          "largest change / distance, without / with", findings.ratios("roughness"),
                          1.2));
  session.add(check_difference(
      "noise behind batch norm that moves the distributions does not undo its help",
      "mean accuracy over the run, noisy − without",
      differences(mean_accuracies(findings.of(kNoisy)), mean_accuracies(findings.of(kWithout))),
      0.005));
}

Chart chart_of(const Findings& findings, const std::string& value, const std::string& title,
               const std::string& label) {
  Chart chart{.id = value,
              .title = title,
              .note = fmt::format("Over steps along the gradient of half to four times {:g}. Means "
                                  "over the seeds; bands are 95 % intervals.",
                                  findings.look_rate),
              .x = {.label = "training steps"},
              .y = {.label = label, .scale = Scale::log}};
  for (const std::string& arm : arms()) {
    chart.series.push_back(mean_curve(arm, findings.of(arm), value));
  }
  return chart;
}

void draw(Session& session, const Findings& findings) {
  session.add(chart_of(findings, "range", "Range of the loss along the gradient",
                       "largest − smallest loss"));
  session.add(chart_of(findings, "change", "How far the gradient predicts itself",
                       "largest distance between gradients"));
  Chart headline = chart_of(findings, "roughness", "Effective smoothness: change of the gradient",
                            "change of the gradient / distance moved");
  headline.headline = true;
  session.add(headline);
  Chart accuracy{.id = "accuracy",
                 .title = "Test accuracy, each arm at its best learning rate",
                 .x = {.label = "training steps"},
                 .y = {.label = "test accuracy", .unit = "%"}};
  DataTable table{
      "Along the gradient: geometric means over the run, means over seeds (95 % interval)",
      {"", "best rate", "range of the loss", "gradient's change", "change / distance", "accuracy"}};
  for (const std::string& arm : arms()) {
    const auto results = findings.of(arm);
    accuracy.series.push_back(mean_curve(arm, results, "accuracy", 100));
    std::vector<std::string> row{arm, fmt::format("{:g}", findings.rates.at(arm))};
    for (const std::string value : {"range", "change", "roughness"}) {
      row.push_back(interval_text(interval_of(values_of(results, value))));
    }
    row.push_back(percent_text(interval_of(values_of(results, "accuracy"))));
    table.rows.push_back(row);
  }
  session.add(accuracy);
  session.add(table);
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  const Findings findings = measure_all(session, plan);
  check(session, findings);
  session.describe(
      {fmt::format("{} convolutions of 3×3 with ReLU ({} to {} channels, weights after He et al.), "
                   "batches of {}, gradient descent with momentum 0.9, {} steps, each arm at the "
                   "best of {} "
                   "learning rates, {} seeds.",
                   plan.widths.size(), plan.widths.front(), plan.widths.back(), plan.batch_size,
                   plan.steps, plan.rates.size(), session.seeds()),
       fmt::format(
           "Every {} steps, along the gradient of the loss of the step's own batch: loss "
           "and gradient after steps of half, one, two and four times {:g} for all arms alike: "
           "ten times the lower of the best rates with and without, which is what momentum "
           "makes of it.",
           plan.every, findings.look_rate),
       "Noisy batch norm has noise behind each batch norm that shifts and stretches every channel "
       "anew at every step, and every sample a little apart (Santurkar et al., section 2.1)."});
  draw(session, findings);
  const auto ratio = [&](const std::string& value) {
    return short_text(std::exp(mean_of(findings.ratios(value))));
  };
  const auto mean = [&](const std::string& arm) {
    return fmt::format("{:.1f}", 100 * mean_of(mean_accuracies(findings.of(arm))));
  };
  session.conclude(fmt::format(
      "Along the gradient, without batch norm against with it: {} times the range of the loss, {} "
      "times the change of the gradient, {} times that for the distance moved; mean accuracy over "
      "the run {} % with, {} % noisy, {} % without.",
      ratio("range"), ratio("change"), ratio("roughness"), mean(kWith), mean(kNoisy),
      mean(kWithout)));
}

}  // namespace

Experiment landscape() {
  return {.name = "landscape",
          .title = "A smoother landscape",
          .claim =
              "Batch normalization makes the loss smoother along the gradient, so that "
              "gradients stay reliable over longer steps; that, not less covariate shift, is "
              "why it helps.",
          .source =
              "Santurkar, Tsipras, Ilyas and Madry 2018, sections 2 and 3, "
              "https://arxiv.org/abs/1805.11604",
          .question =
              "How much do loss and gradient change over a step of gradient descent, with "
              "and without batch norm, and does noise that moves the distributions again "
              "undo its help?",
          .supports =
              "With batch norm a smaller range of the loss, a smaller change of the "
              "gradient, also for the distance moved; noisy batch norm still trains better "
              "than none.",
          .contradicts =
              "A larger range of the loss or change of the gradient with batch norm, by a fifth or "
              "more, or noisy batch norm that trains worse than none. Changes that are as large "
              "leave a check unclear, and so does noise that takes no more than batch norm's help.",
          .practice =
              {"With batch norm try learning rates several times larger than without: steps stay "
               "predictable for longer.",
               "The gradient's length scales with the network's parametrization; compare "
               "smoothness at steps that both networks could take."},
          .needs = Needs::images,
          .contrast = {kWith, kWithout},
          .quick_seconds = 28,
          .full_seconds = 2400,
          .run = run};
}

}  // namespace evenkeel::lab
