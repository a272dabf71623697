#include "lab/report/run_charts.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lab/report/chart_line.h"

namespace evenkeel::lab {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostPoints = 300;  // of one line: more than a chart has room for
constexpr std::size_t kMostLayers = 6;    // that eyes tell apart

constexpr const char* kPercentiles = "Lines: medians; bands: from the 15th to the 85th percentile.";

std::size_t stride_for(std::size_t points) { return (points + kMostPoints - 1) / kMostPoints; }

RunSeries series_of(std::string name, std::size_t color, const Track& track, bool dash = false) {
  return {std::move(name), static_cast<int>(color % 8), dash, track.x, track.y, {}, {}};
}

/// Means of neighbours, with their smallest and largest as a band, where there are too many.
RunSeries thinned(std::string name, std::size_t color, const Track& track) {
  const std::size_t stride = stride_for(track.x.size());
  RunSeries series = series_of(std::move(name), color, track);
  if (stride <= 1) return series;
  series.x.clear();
  series.y.clear();
  for (std::size_t begin = 0; begin < track.x.size(); begin += stride) {
    const std::size_t end = std::min(begin + stride, track.x.size());
    double sum = 0;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (std::size_t i = begin; i < end; ++i) {
      sum += track.y[i];  // NaN among them makes a gap, as it should
      low = std::min(low, track.y[i]);
      high = std::max(high, track.y[i]);
    }
    series.x.push_back(track.x[end - 1]);
    series.y.push_back(sum / static_cast<double>(end - begin));
    series.lo.push_back(low);
    series.hi.push_back(high);
  }
  return series;
}

/// Every so many-th, where there are too many: percentiles have no mean.
RunSeries series_of(std::string name, std::size_t color, const Spread& spread) {
  const std::size_t stride = std::max<std::size_t>(1, stride_for(spread.x.size()));
  RunSeries series{std::move(name), static_cast<int>(color % 8), false, {}, {}, {}, {}};
  for (std::size_t i = 0; i < spread.x.size(); i += stride) {
    series.x.push_back(spread.x[i]);
    series.y.push_back(spread.middle[i]);
    series.lo.push_back(spread.low[i]);
    series.hi.push_back(spread.high[i]);
  }
  return series;
}

/// The first, the last and evenly spaced ones between.
std::vector<std::size_t> chosen(std::size_t count) {
  std::vector<std::size_t> indices;
  const std::size_t most = std::min(count, kMostLayers);
  for (std::size_t i = 0; i < most; ++i) {
    indices.push_back(most == 1 ? 0 : i * (count - 1) / (most - 1));
  }
  return indices;
}

std::string choice_note(std::size_t count, const char* what) {
  if (count <= kMostLayers) return {};
  return fmt::format("{} of {} {}, evenly spaced. ", kMostLayers, count, what);
}

class Charts {
 public:
  explicit Charts(std::span<const RunMetrics> runs) : runs_(runs) {}

  std::vector<std::string> lines() {
    together();
    for (std::size_t i = 0; i < runs_.size(); ++i) by_layer(runs_[i]);
    return std::move(lines_);
  }

 private:
  /// "with, validation", or "validation" where there is one run.
  std::string named(const RunMetrics& run, const char* part) const {
    if (runs_.size() == 1) return part;
    return fmt::format("{}, {}", run.name, part);
  }
  std::string titled(const RunMetrics& run, const std::string& title) const {
    return runs_.size() == 1 ? title : fmt::format("{}: {}", run.name, title);
  }

  void add(RunChart chart) {
    std::erase_if(chart.series, [](const RunSeries& one) { return one.x.empty(); });
    if (chart.series.empty()) return;
    chart.headline = std::ranges::none_of(
        sections_, [&](const std::string& section) { return section == chart.section; });
    sections_.push_back(chart.section);
    lines_.push_back(to_line(chart));
  }

  /// One line per run, of the track that `of` points to; where there are many points, thinned.
  void add_simple(RunChart chart, const char* part, Track RunMetrics::*of) {
    bool thin = false;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      chart.series.push_back(thinned(named(runs_[i], part), i, runs_[i].*of));
      thin = thin || !chart.series.back().lo.empty();
    }
    if (thin) chart.note += "Lines: means of neighbours; bands: their smallest and largest.";
    add(std::move(chart));
  }

  /// Training and validation, solid and dashed.
  void add_pairs(RunChart chart, Track RunMetrics::*training, Track RunMetrics::*validation) {
    const bool alone = runs_.size() == 1;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const RunMetrics& run = runs_[i];
      chart.series.push_back(series_of(named(run, "training"), i, run.*training));
      chart.series.push_back(
          series_of(named(run, "validation"), alone ? 1 : i, run.*validation, true));
    }
    add(std::move(chart));
  }

  void together() {
    add_pairs({.section = "loss", .title = "Loss, epoch by epoch", .y_label = "loss"},
              &RunMetrics::loss, &RunMetrics::validation_loss);
    add_simple({.section = "loss", .title = "Loss of single steps", .y_label = "loss"}, "training",
               &RunMetrics::step_loss);
    add_pairs({.section = "accuracy",
               .title = "Accuracy, epoch by epoch",
               .y_label = "accuracy",
               .y_unit = "%"},
              &RunMetrics::accuracy, &RunMetrics::validation_accuracy);
    add_simple({.section = "accuracy",
                .title = "Accuracy of single steps",
                .y_label = "accuracy",
                .y_unit = "%"},
               "training", &RunMetrics::step_accuracy);
    add_simple({.section = "accuracy",
                .title = "Accuracy in between",
                .y_label = "accuracy",
                .y_unit = "%"},
               "evaluation", &RunMetrics::evaluation_accuracy);
    add_simple({.section = "rate", .title = "Learning rate", .y_label = "learning rate"},
               "learning rate", &RunMetrics::rate);
    add_total("Norm of the gradient, all parameters", &RunMetrics::gradients);
    add_total("Norm of the parameters, all of them", &RunMetrics::weights);
  }

  static Track total(const std::vector<NamedTrack>& parts) {
    Track sum;
    for (const auto& [name, track] : parts) {
      if (track.x.size() > sum.x.size()) sum.x = track.x;
    }
    sum.y.assign(sum.x.size(), 0);
    for (const auto& [name, track] : parts) {
      std::size_t at = 0;
      for (std::size_t i = 0; i < track.x.size(); ++i) {
        while (at < sum.x.size() && sum.x[at] != track.x[i]) ++at;
        if (at < sum.x.size()) sum.y[at] += track.y[i] * track.y[i];
      }
    }
    for (double& value : sum.y) value = std::sqrt(value);
    return sum;
  }

  void add_total(const char* title, std::vector<NamedTrack> RunMetrics::*of) {
    RunChart chart{.section = "gradients", .title = title, .y_label = "L2 norm"};
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      chart.series.push_back(thinned(named(runs_[i], "all parameters"), i, total(runs_[i].*of)));
    }
    add(std::move(chart));
  }

  void add_parameters(const RunMetrics& run, const char* title,
                      const std::vector<NamedTrack>& tracks) {
    RunChart chart{.section = "gradients", .title = titled(run, title), .y_label = "L2 norm"};
    std::vector<const NamedTrack*> matrices;  // biases, γ and β are as many again and say less
    for (const NamedTrack& one : tracks) {
      if (one.first.ends_with("weight") || one.first.find('.') == std::string::npos)
        matrices.push_back(&one);
    }
    chart.note = choice_note(matrices.size(), "weights");
    for (const std::size_t i : chosen(matrices.size())) {
      chart.series.push_back(thinned(matrices[i]->first, chart.series.size(), matrices[i]->second));
    }
    add(std::move(chart));
  }

  void add_norms(const RunMetrics& run, RunChart chart, Spread NormTracks::*of) {
    chart.title = titled(run, chart.title);
    chart.note += choice_note(run.norms.size(), "batch norms") + kPercentiles;
    for (const std::size_t i : chosen(run.norms.size())) {
      chart.series.push_back(series_of(run.norms[i].path, chart.series.size(), run.norms[i].*of));
    }
    add(std::move(chart));
  }

  void by_layer(const RunMetrics& run) {
    add_norms(run,
              {.section = "statistics",
               .title = "Distance of the means",
               .note = "Over channels: |batch mean − running mean| / running σ. ",
               .y_label = "distance in running σ"},
              &NormTracks::mean_gap);
    add_norms(run,
              {.section = "statistics",
               .title = "Ratio of the deviations",
               .note = "Over channels: batch σ / running σ; 1 where they agree. ",
               .y_label = "batch σ / running σ"},
              &NormTracks::std_ratio);
    add_norms(
        run,
        {.section = "activations", .title = "What enters the batch norms", .y_label = "activation"},
        &NormTracks::input);
    add_norms(
        run,
        {.section = "activations", .title = "What leaves the batch norms", .y_label = "activation"},
        &NormTracks::output);
    add_parameters(run, "Norm of the gradient by weight", run.gradients);
    add_parameters(run, "Norm of the weight by weight", run.weights);
    add_norms(run, {.section = "scales", .title = "γ over the channels", .y_label = "γ"},
              &NormTracks::gamma);
    add_norms(run, {.section = "scales", .title = "β over the channels", .y_label = "β"},
              &NormTracks::beta);
  }

  std::span<const RunMetrics> runs_;
  std::vector<std::string> lines_, sections_;
};

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::vector<std::string> report_lines(std::span<const RunMetrics> runs, const std::string& version,
                                      const std::string& command) {
  std::vector<std::string> lines{
      line_of({{"kind", "report"}, {"version", version}, {"command", command}})};
  for (const RunMetrics& run : runs) {
    Json facts = Json::array();
    for (const auto& [name, value] : run.facts) facts.push_back(Json::array({name, value}));
    lines.push_back(
        line_of({{"kind", "run"}, {"name", run.name}, {"facts", facts}, {"notes", run.notes}}));
  }
  std::vector<std::string> charts = Charts(runs).lines();
  std::ranges::move(charts, std::back_inserter(lines));
  return lines;
}

}  // namespace evenkeel::lab
