// Overhead of batch norm in time and memory, in training and at inference.

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lab/experiments/rows.h"
#include "lab/session.h"
#include "lab/trial.h"
#include <evenkeel/core/memory.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/nn/fusion.h>
#include <evenkeel/nn/loss.h>
#include <evenkeel/optim/optim.h>

namespace evenkeel::lab {
namespace {

const std::string kWith = "with batch norm";
const std::string kWithout = "without";
const std::string kUnfused = "with, not fused";
constexpr double kAlike = 1.05;  // times that count as equal

/// One network, and how often a cell times it.
struct Subject {
  std::string net;
  std::int64_t batch_size;
  int rounds;
};

struct Plan {
  Material material;
  std::vector<Subject> subjects;
};

Plan plan_of(const Session& session) {
  using Subjects = std::vector<Subject>;
  return {session.material().limited(512, 8, 8),
          session.pick<Subjects>({{"convnet", 16, 24}, {"mlp", 64, 200}},
                                 {{"convnet", 64, 30}, {"mlp", 64, 200}, {"resnet20", 64, 20}},
                                 {{"mlp", 8, 2}})};
}

/// What is measured of an arm in a cell, as the end of the value's name.
std::string name(const std::string& arm, const std::string& quantity) {
  return arm + ": " + quantity;
}

/// A network with all that a training step needs.
class Trainee {
 public:
  Trainee(const Plan& plan, const Subject& subject, const std::string& arm, std::uint64_t seed) {
    model::NetworkOptions options;
    options.net = subject.net;
    options.norm = arm == kWithout ? "none" : "batch";
    network_ = builder(plan.material, options)(seed);
    network_->set_needs_input_gradient(false);
    if (arm != kUnfused) nn::fuse(*network_);
    optimizer_ = optim::make_optimizer("sgd", optim::make_groups(*network_));
    batch_ = batch_of(plan, subject, layout_for(options), seed);
    network_->train();
  }

  void step() {
    network_->zero_grad();
    const nn::LossResult loss = nn::CrossEntropy()(network_->forward(batch_.x), batch_.labels);
    network_->backward(loss.gradient);
    optimizer_->step(0.01);
  }
  /// In evaluation, as it is trained or folded.
  std::unique_ptr<nn::Module> deployed(bool folded) const {
    auto copy = network_->clone();
    copy->eval();
    if (folded) nn::fold(*copy);
    return copy;
  }
  const Tensor& input() const { return batch_.x; }

 private:
  static data::Batch batch_of(const Plan& plan, const Subject& subject, Layout layout,
                              std::uint64_t seed) {
    const data::Dataset& part = plan.material.splits.train;
    data::LoaderOptions options;
    options.batch_size = std::min(subject.batch_size, part.size());
    options.shuffle = true;
    options.normalization = plan.material.normalization;
    options.layout = layout;
    options.seed = seed;
    options.prefetch = false;
    data::Loader loader(part, options);
    loader.start(0);
    data::Batch batch;
    loader.next(batch);
    return batch;
  }

  std::unique_ptr<nn::Module> network_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  data::Batch batch_;
};

/// What a training step takes at most beside weights, gradients and batch.
double step_bytes(Trainee& trainee) {
  const std::size_t before = memory_stats().current;
  reset_peak_memory();
  trainee.step();
  return static_cast<double>(memory_stats().peak - before);
}

/// What is timed, and the shortest time so far: whatever else the machine does only adds to it.
struct Timing {
  std::string name;
  std::function<void()> run;
  double shortest = std::numeric_limits<double>::infinity();
};

/// In turns, each round beginning with another, so that a slow moment of the machine meets all of
/// them and none always follows the same one.
void time_all(const Session& session, std::vector<Timing>& timings, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < timings.size(); ++i) {
      Timing& timing = timings[(i + static_cast<std::size_t>(round)) % timings.size()];
      const double start = session.now();
      timing.run();
      timing.shortest = std::min(timing.shortest, 1000 * (session.now() - start));
    }
  }
}

Measurement measure_cell(const Session& session, const Plan& plan, const Cell& cell) {
  const Subject& subject = plan.subjects.at(static_cast<std::size_t>(cell.where("network")));
  Measurement measurement;
  std::vector<std::unique_ptr<Trainee>> trainees;
  std::vector<std::unique_ptr<nn::Module>> deployed;
  std::vector<Timing> steps, inferences;
  for (const std::string& arm : {kWith, kWithout, kUnfused}) {
    trainees.push_back(std::make_unique<Trainee>(plan, subject, session.played_by(arm), cell.seed));
    Trainee& trainee = *trainees.back();
    trainee.step();  // momentum and caches are there from the second step on
    measurement.values[name(arm, "step_bytes")] = step_bytes(trainee);
    steps.push_back({name(arm, "step_ms"), [&trainee] { trainee.step(); }});
    for (const bool folded : {false, true}) {
      deployed.push_back(trainee.deployed(folded));
      nn::Module& network = *deployed.back();
      (void)network.forward(trainee.input());
      inferences.push_back({name(arm, folded ? "folded_ms" : "inference_ms"),
                            [&network, &trainee] { (void)network.forward(trainee.input()); }});
    }
  }
  time_all(session, steps, subject.rounds);
  time_all(session, inferences, 2 * subject.rounds);
  for (const auto* timings : {&steps, &inferences}) {
    for (const Timing& timing : *timings) measurement.values[timing.name] = timing.shortest;
  }
  return measurement;
}

/// All cells of one network.
struct Measured {
  const Subject* subject;
  std::vector<const Result*> results;

  std::vector<double> of(const std::string& arm, const std::string& quantity) const {
    return values_of(results, name(arm, quantity));
  }
  /// Logarithms of how many times more an arm takes than the network without.
  std::vector<double> overhead(const std::string& arm, const std::string& quantity) const {
    return log_ratios(of(arm, quantity), of(kWithout, quantity));
  }
  /// The same as a mean ratio with its interval.
  Interval ratio(const std::string& arm, const std::string& quantity) const {
    Interval interval = interval_of(overhead(arm, quantity));
    for (double* bound : {&interval.mean, &interval.lo, &interval.hi}) *bound = std::exp(*bound);
    return interval;
  }
};

void check(Session& session, const Measured& measured) {
  const std::string& net = measured.subject->net;
  session.add(check_ratio(net + ": a training step takes longer", "time with / without",
                          measured.overhead(kWith, "step_ms"), 1.02));
  session.add(check_ratio(net + ": a training step takes more memory", "bytes with / without",
                          measured.overhead(kWith, "step_bytes"), 1.02));
  session.add(check_alike(net + ": folded, inference takes as long as without",
                          "time with, folded / without", measured.overhead(kWith, "folded_ms"),
                          kAlike));
}

/// A bar: what of which arm, and how it is called.
struct Bar {
  std::string text, arm, quantity;
};

void draw(Session& session, const std::vector<Measured>& all) {
  const std::vector<Bar> bars{
      {"step, not fused", kUnfused, "step_ms"},      {"step", kWith, "step_ms"},
      {"memory, not fused", kUnfused, "step_bytes"}, {"memory", kWith, "step_bytes"},
      {"inference", kWith, "inference_ms"},          {"inference, folded", kWith, "folded_ms"}};
  Chart chart{.id = "overhead",
              .title = "With batch norm, in multiples of the same network without",
              .note =
                  "1 is no overhead. Step: time of a training step; memory: its peak beside "
                  "weights and batch. Whiskers: 95 % intervals.",
              .type = ChartType::bar,
              .x = {.label = "what is measured", .scale = Scale::category},
              .y = {.label = "with / without", .unit = "times"},
              .headline = true};
  for (const Bar& bar : bars) chart.x.categories.push_back(bar.text);
  for (const Measured& measured : all) {
    ChartSeries series;
    series.name = measured.subject->net;
    for (std::size_t i = 0; i < bars.size(); ++i) {
      const Interval ratio = measured.ratio(bars[i].arm, bars[i].quantity);
      series.x.push_back(static_cast<double>(i));
      series.y.push_back(ratio.mean);
      series.lo.push_back(ratio.lo);
      series.hi.push_back(ratio.hi);
    }
    chart.series.push_back(series);
  }
  session.add(chart);
}

void draw_times(Session& session, const std::vector<Measured>& all) {
  const std::vector<std::pair<std::string, std::string>> quantities{
      {"training step", "step_ms"}, {"inference", "inference_ms"}, {"folded", "folded_ms"}};
  Chart chart{.id = "times",
              .title = "Shortest times of a batch",
              .type = ChartType::bar,
              .x = {.label = "network and work", .scale = Scale::category},
              .y = {.label = "time", .unit = "ms", .scale = Scale::log}};
  for (const std::string& arm : {kWith, kWithout, kUnfused}) {
    ChartSeries series;
    series.name = arm;
    double x = 0;
    for (const Measured& measured : all) {
      for (const auto& [text, quantity] : quantities) {
        if (arm == kWith) chart.x.categories.push_back(measured.subject->net + ", " + text);
        add_point(series, x++, measured.of(arm, quantity));
      }
    }
    chart.series.push_back(series);
  }
  session.add(chart);
}

void tabulate(Session& session, const Measured& measured) {
  DataTable table{fmt::format("{}, batches of {}: mean (95 % interval)", measured.subject->net,
                              measured.subject->batch_size),
                  {"", "training step, ms", "its memory, MB", "inference, ms", "folded, ms"}};
  for (const std::string& arm : {kWith, kUnfused, kWithout}) {
    std::vector<double> megabytes = measured.of(arm, "step_bytes");
    for (double& value : megabytes) value /= 1e6;
    table.rows.push_back({arm, interval_text(interval_of(measured.of(arm, "step_ms"))),
                          short_text(mean_of(megabytes)),
                          interval_text(interval_of(measured.of(arm, "inference_ms"))),
                          interval_text(interval_of(measured.of(arm, "folded_ms")))});
  }
  session.add(table);
}

std::string summary_of(const std::vector<Measured>& all) {
  std::vector<std::string> parts;
  for (const Measured& measured : all) {
    const auto times = [&](const std::string& quantity) {
      return interval_text(measured.ratio(kWith, quantity));
    };
    parts.push_back(fmt::format(
        "{}: {} times the step time, {} times the memory, {} times the inference time before "
        "folding and {} after",
        measured.subject->net, times("step_ms"),
        short_text(measured.ratio(kWith, "step_bytes").mean), times("inference_ms"),
        times("folded_ms")));
  }
  return fmt::format("With batch norm against without: {}.", fmt::join(parts, "; "));
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < plan.subjects.size(); ++i) {
    for (const std::uint64_t seed : session.seed_list()) {
      cells.push_back({.arm = "all in turns",
                       .at = {{"network", static_cast<double>(i)}},
                       .seed = seed,
                       .cost = plan.subjects[i].net == "mlp" ? 0.2 : 1.0});
    }
  }
  double cost = 0;
  for (const Cell& cell : cells) cost += cell.cost;
  session.expect(cost);
  const auto results = session.measure_alone(
      cells, [&](const Cell& cell) { return measure_cell(session, plan, cell); });
  std::vector<Measured> all;
  for (std::size_t i = 0; i < plan.subjects.size(); ++i) {
    all.push_back(
        {&plan.subjects[i], of_arm_at(results, "all in turns", "network", static_cast<double>(i))});
  }
  for (const Measured& measured : all) check(session, measured);
  draw(session, all);
  draw_times(session, all);
  for (const Measured& measured : all) tabulate(session, measured);
  std::vector<std::string> networks;
  for (const Subject& subject : plan.subjects) {
    networks.push_back(fmt::format("{} (batches of {}, {} rounds)", subject.net, subject.batch_size,
                                   subject.rounds));
  }
  session.describe(
      {fmt::format("The same networks with batch norm, with batch norm as a pass of its own (not "
                   "fused with the activation behind it), and without: {}. Training steps and "
                   "inference of one batch are run in turns and the shortest time of each is "
                   "taken; {} repetitions of that give the intervals.",
                   fmt::join(networks, ", "), session.seeds()),
       "Memory is the largest that a training step has allocated, beside what is there before "
       "it: weights, gradients, momentum, the batch. Folding puts batch norms into the "
       "convolutions and linear layers before them and ReLUs into convolutions; the network "
       "without batch norm gets the same treatment."});
  session.conclude(summary_of(all));
}

}  // namespace

Experiment cost() {
  return {.name = "cost",
          .title = "The cost of batch norm",
          .claim =
              "Batch normalization makes training steps slower and larger; at inference it "
              "costs nothing once it is folded into the layers around it.",
          .source =
              "Rota Bulò et al. 2018, sections 1 and 3 (memory), "
              "https://arxiv.org/abs/1712.02616; Jacob et al. 2018, section 3.2 (folding), "
              "https://arxiv.org/abs/1712.05877",
          .question =
              "How much longer is a training step, how much more memory does it take, and "
              "what is left of the overhead at inference before and after folding?",
          .supports =
              "Longer and larger training steps with batch norm, and with it folded an inference "
              "as long as without, within 5 %.",
          .contradicts =
              "Shorter or smaller training steps with batch norm, or an inference that takes "
              "more than 5 % longer although it is folded.",
          .practice =
              {"Fold batch norms before deployment: the result is the same function with ordinary "
               "layers. Let the activation be fused in training.",
               "Steps that take longer are a small price where fewer of them are needed; count "
               "the time to an accuracy, not the time of a step."},
          .needs = Needs::images,
          .contrast = {kWith, kWithout},
          .quick_seconds = 25,
          .full_seconds = 240,
          .timed = true,
          .run = run};
}

}  // namespace evenkeel::lab
