// Small batches: where batch norm needs others, and how much a convolution puts it off.

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/rows.h"
#include "lab/rate_points.h"
#include "lab/session.h"
#include "lab/small_nets.h"
#include "lab/trial.h"
#include <evenkeel/core/random.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/group_norm.h>
#include <evenkeel/nn/layers/layer_norm.h>

namespace evenkeel::lab {
namespace {

const std::string kBatch = "batch norm";
const std::string kGroup = "group norm";
const std::string kLayer = "layer norm";
const std::string kRenorm = "batch renormalization";
const std::string kGhost = "ghost batches of 2";
constexpr double kReference = 64;  // the batch size for which rates are given
constexpr std::int64_t kGhostSize = 2, kGroups = 4;
constexpr std::int64_t kMiddle = 8, kLow = 2, kHigh = 2 * kMiddle - kLow;
constexpr std::uint64_t kSizeStream = 0x62617463682d73;

struct Plan {
  Material material;
  std::vector<std::int64_t> sizes;
  std::vector<double> rates;
  std::int64_t samples;  // that a run sees
  bool all_arms;         // at every size
  std::vector<std::int64_t> full_widths, conv_widths;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(4000, 0, 200),
                                     session.pick<std::int64_t>(500, 5000, 60),
                                     session.pick<std::int64_t>(1000, 0, 60)),
          session.pick<std::vector<std::int64_t>>({1, 2, 8, 64}, {1, 2, 4, 8, 16, 32, 64, 128, 256},
                                                  {1, 2, 8, 16}),
          session.pick<std::vector<double>>({0.03, 0.1, 0.3}, {0.01, 0.03, 0.1, 0.3, 1}, {0.1}),
          session.pick<std::int64_t>(3500, 30'000, 96),
          session.pick(false, true, true),
          session.pick<std::vector<std::int64_t>>({64, 64}, {128, 64}, {16, 16}),
          session.pick<std::vector<std::int64_t>>({8, 16, 32}, {16, 32, 32}, {8, 8})};
}

std::unique_ptr<nn::Module> make_norm(const std::string& arm, const Place& place, double size,
                                      std::int64_t steps) {
  nn::BatchNormOptions options;
  // The running averages reach back over as many samples at every size.
  options.momentum = 1 - std::pow(0.9, size / kReference);
  if (arm == kBatch) return make_batch_norm(place, options);
  if (arm == kGhost) {
    options.momentum = 1 - std::pow(0.9, kGhostSize / kReference);
    options.ghost_size = kGhostSize;
    return make_batch_norm(place, options);
  }
  if (arm == kRenorm) {
    return make_batch_renorm(
        place, options,
        {.ramp_begin = steps / 20, .ramp_end = std::max<std::int64_t>(1, steps / 4)});
  }
  if (arm == kLayer && !place.spatial) {
    return std::make_unique<nn::LayerNorm>(Shape{place.features});
  }
  return std::make_unique<nn::GroupNorm>(arm == kLayer ? 1 : kGroups, place.features);
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const double size = cell.where("size");
    const bool varies = cell.where("varies") != 0;
    Trial trial;
    trial.steps = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(static_cast<double>(plan.samples) / size));
    const bool conv = cell.where("convolutional") != 0;
    const SmallNet net{.convolutional = conv,
                       .widths = conv ? plan.conv_widths : plan.full_widths,
                       .bias = false,
                       .tail = [&](nn::Sequential& network, const Place& place) {
                         network.add(make_norm(cell.arm, place, size, trial.steps));
                         network.add(nn::ReLU());
                       }};
    trial.network = builder(plan.material, net);
    trial.layout = layout_for(net);
    trial.seed = cell.seed;
    trial.batch_size = varies ? kHigh : static_cast<std::int64_t>(size);
    const Random random(cell.seed, kSizeStream);
    if (varies) {
      trial.batch_of = [random](std::int64_t step) {
        return random.block(static_cast<std::uint64_t>(step))[0] % 2 == 0 ? kLow : kHigh;
      };
    }
    trial.rate = cell.where("rate") * size / kReference;
    trial.schedule = "cosine";
    trial.watched =
        cell.stage == "tune" ? &plan.material.splits.validation : &plan.material.splits.test;
    Trained trained = train(plan.material, trial);
    Measurement measurement = summarize(trained, cell);
    measurement.series.clear();
    return measurement;
  };
}

/// Whether an arm is tried at a batch size. One sample of a fully connected network has no batch
/// statistics. Single samples, the dearest, and sizes that vary are for the two arms that the claim
/// is about where time is short.
bool tried(const Plan& plan, const std::string& arm, bool conv, std::int64_t size, bool varies) {
  const bool central = arm == kBatch || arm == kGroup;
  if (varies) return central || (plan.all_arms && arm != kGhost);
  if (arm == kGhost) return size > kGhostSize;
  if (size > 1) return true;
  return (central || plan.all_arms) && (conv || arm == kGroup || arm == kLayer);
}

std::vector<RatePoint> points_of(const Plan& plan) {
  std::vector<RatePoint> points;
  const auto add = [&](const std::string& arm, bool conv, std::int64_t size, bool varies) {
    const double steps = static_cast<double>(plan.samples / size);
    points.push_back({.arm = arm,
                      .at = {{"convolutional", conv ? 1 : 0},
                             {"size", static_cast<double>(size)},
                             {"varies", varies ? 1 : 0}},
                      .cost = (conv ? 2 : 1) * (steps + 0.2 * static_cast<double>(plan.samples))});
  };
  for (const bool conv : {true, false}) {
    for (const std::string& arm : {kBatch, kGroup, kLayer, kRenorm, kGhost}) {
      for (const std::int64_t size : plan.sizes) {
        if (tried(plan, arm, conv, size, false)) add(arm, conv, size, false);
      }
      if (tried(plan, arm, conv, kMiddle, true)) add(arm, conv, kMiddle, true);
    }
  }
  return points;
}

/// Test error at a point, seed by seed, 0 to 1.
std::vector<double> errors(const std::vector<Result>& results, const std::string& arm, bool conv,
                           std::int64_t size, bool varies = false) {
  std::vector<double> values = values_of(at_point(results, arm,
                                                  {{"convolutional", conv ? 1 : 0},
                                                   {"size", static_cast<double>(size)},
                                                   {"varies", varies ? 1 : 0}}),
                                         "accuracy");
  for (double& value : values) value = 1 - value;
  return values;
}

std::string name_of(bool conv) { return conv ? "convolutional" : "fully connected"; }

void check(Session& session, const Plan& plan, const std::vector<Result>& results) {
  for (const bool conv : {false, true}) {
    const auto compare = [&](std::int64_t size, bool varies, const std::string& batches) {
      session.add(check_difference(
          fmt::format("{}: lower error with group norm, {}", name_of(conv), batches),
          "share of errors, batch norm − group norm",
          differences(errors(results, kBatch, conv, size, varies),
                      errors(results, kGroup, conv, size, varies)),
          0.005));
    };
    for (const std::int64_t size : plan.sizes) {
      if (size >= kMiddle || !tried(plan, kBatch, conv, size, false)) continue;
      compare(size, false, size == 1 ? "one sample at a time" : fmt::format("batches of {}", size));
    }
    compare(kMiddle, true, fmt::format("batches of {} or {} at random", kLow, kHigh));
  }
}

ChartSeries curve(const Plan& plan, const std::vector<Result>& results, const std::string& arm,
                  bool conv, const std::string& name) {
  ChartSeries series;
  series.name = name;
  for (const std::int64_t size : plan.sizes) {
    if (!tried(plan, arm, conv, size, false)) continue;
    add_point(series, static_cast<double>(size), errors(results, arm, conv, size), 100);
  }
  return series;
}

Chart chart_of(const std::string& id, const std::string& title) {
  return {.id = id,
          .title = title,
          .note = "Means over the seeds; bands are 95 % intervals of the mean.",
          .x = {.label = "batch size in training", .scale = Scale::log},
          .y = {.label = "test error", .unit = "%"}};
}

void draw(Session& session, const Plan& plan, const std::vector<Result>& results) {
  Chart headline = chart_of("both", "Test error against batch size: batch norm and group norm");
  headline.headline = true;
  for (const bool conv : {false, true}) {
    int color = 0;
    for (const std::string& arm : {kBatch, kGroup}) {
      ChartSeries series = curve(plan, results, arm, conv, arm + ", " + name_of(conv));
      series.color = color++;
      series.dash = conv;
      headline.series.push_back(std::move(series));
    }
  }
  session.add(std::move(headline));
  for (const bool conv : {false, true}) {
    Chart chart = chart_of(conv ? "convolutional" : "full",
                           fmt::format("All normalizations, {} network", name_of(conv)));
    for (const std::string& arm : {kBatch, kGroup, kLayer, kRenorm, kGhost}) {
      chart.series.push_back(curve(plan, results, arm, conv, arm));
    }
    session.add(std::move(chart));
  }
}

double rate_at(const std::vector<RatePoint>& points, const std::string& arm, bool conv,
               std::int64_t size) {
  for (const RatePoint& point : points) {
    if (point.arm == arm && point.at[0].second == (conv ? 1 : 0) &&
        point.at[1].second == static_cast<double>(size) && point.at[2].second == 0) {
      return point.rate;
    }
  }
  return NAN;
}

DataTable table_of(const Plan& plan, const std::vector<RatePoint>& points,
                   const std::vector<Result>& results, bool conv) {
  DataTable table{fmt::format("Test error by batch size, {} network: mean (95 % interval) @ best "
                              "rate for {:g} samples",
                              name_of(conv), kReference),
                  {""}};
  for (const std::int64_t size : plan.sizes) table.columns.push_back(fmt::format("{}", size));
  table.columns.push_back(fmt::format("{} or {}", kLow, kHigh));
  for (const std::string& arm : {kBatch, kGroup, kLayer, kRenorm, kGhost}) {
    std::vector<std::string> row{arm};
    for (const std::int64_t size : plan.sizes) {
      row.push_back(tried(plan, arm, conv, size, false)
                        ? fmt::format("{} @ {:g}",
                                      percent_text(interval_of(errors(results, arm, conv, size))),
                                      rate_at(points, arm, conv, size))
                        : "-");
    }
    row.push_back(tried(plan, arm, conv, kMiddle, true)
                      ? percent_text(interval_of(errors(results, arm, conv, kMiddle, true)))
                      : "-");
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> setup(const Session& session, const Plan& plan) {
  return {
      fmt::format(
          "Two networks with ReLU: fully connected ({} units), and convolutional (3×3 of stride 2 "
          "with {} channels). Every run sees {} samples, whatever the batch size, so smaller "
          "batches "
          "make more steps; momentum 0.9, cosine schedule.",
          fmt::join(plan.full_widths, " and "), fmt::join(plan.conv_widths, ", "), plan.samples),
      fmt::format(
          "At every batch size each arm has the best of {} learning rates ({:g} to {:g} for {:g} "
          "samples, scaled in proportion to the batch size), chosen on held-back samples after as "
          "many steps with another seed; then {} seeds each, the same ones for all.",
          plan.rates.size(), plan.rates.front(), plan.rates.back(), kReference, session.seeds()),
      fmt::format(
          "Running averages reach back over as many samples at every size. Group norm has {} "
          "groups "
          "(of neighbouring units, where fully connected). Ghost batches normalize {} samples at a "
          "time in steps of the size on the axis. Renormalization lets its limits go from 1/20 to "
          "1/4 of the run. One sample of the fully connected network is one value per channel, "
          "which batch norm cannot take. The column \"{} or {}\" draws one of these sizes afresh "
          "for every step; its mean is {}.",
          kGroups, kGhostSize, kLow, kHigh, kMiddle)};
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<RatePoint> points = points_of(plan);
  session.expect(cost_of(session, points, plan.rates.size()));
  const Measure measure = measure_with(plan);
  find_rates(session, points, plan.rates, measure);
  const std::vector<Result> results = session.measure(final_cells(session, points), measure);
  session.describe(setup(session, plan));
  check(session, plan, results);
  draw(session, plan, results);
  for (const bool conv : {false, true}) session.add(table_of(plan, points, results, conv));
  const auto text = [&](const std::string& arm, bool conv) {
    return fmt::format("{:.1f} %", 100 * mean_of(errors(results, arm, conv, kLow)));
  };
  session.conclude(fmt::format(
      "At batches of {}, the fully connected network erred on {} of the test samples with batch "
      "norm and on {} with group norm, the convolutional one on {} and {}.",
      kLow, text(kBatch, false), text(kGroup, false), text(kBatch, true), text(kGroup, true)));
}

}  // namespace

Experiment batch_size() {
  return {.name = "batch-size",
          .title = "Small batches",
          .claim =
              "Batch norm needs batches that represent the data; below 8 samples, group norm does "
              "better.",
          .source =
              "Wu and He 2018, section 4.1, https://arxiv.org/abs/1803.08494 (ResNet-50 on "
              "ImageNet, error at 32 images per processor: 23.6 % with batch norm, 24.1 % with "
              "group norm; at 2: 34.7 % and 24.1 %); Ioffe 2017, https://arxiv.org/abs/1702.03275",
          .question =
              "How does the test error depend on the batch size for each normalization, in a fully "
              "connected network and in a convolutional one, where every channel is also averaged "
              "over the positions of a map?",
          .supports =
              "A lower error with group norm at batch sizes below 8, and where sizes vary, in both "
              "networks: by half a point or more in at least half of these comparisons, and a "
              "higher one in none.",
          .contradicts =
              "A lower error with batch norm there, by half a point or more, in either network. "
              "Errors that are as low leave a check unclear.",
          .practice =
              {"Count values, not samples: a channel of a map of 14×14 is averaged over 196 values "
               "per image, a unit of a fully connected layer over one.",
               "Where memory allows fewer than about 8 samples per processor, use group norm (or "
               "layer norm), or take the statistics over all processors; at batches of 32 and more "
               "batch norm is as good or better.",
               "If a network must keep batch norm at small batches, lower the momentum of the "
               "running averages, try renormalization, or freeze the statistics of a trained one."},
          .needs = Needs::images,
          .contrast = {kGroup, kBatch},
          .quick_seconds = 30,
          .full_seconds = 1500,
          .run = run};
}

}  // namespace evenkeel::lab
