// Higher learning rates: multiples of the rate that suits the network without batch norm best.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "lab/experiments/learning_rate_findings.h"
#include "lab/experiments/rows.h"
#include "lab/networks.h"
#include "lab/rates.h"
#include "lab/session.h"
#include "lab/trial.h"

namespace evenkeel::lab {
namespace {

using namespace learning_rates;

constexpr std::array kMultiples{1.0, 5.0, 30.0};

struct Plan {
  Material material;
  std::vector<double> rates;
  std::int64_t steps, every;  // every: between evaluations, in the end
  bool inception;
};

Plan plan_of(const Session& session) {
  return {session.material().limited(session.pick<std::int64_t>(6000, 0, 400),
                                     session.pick<std::int64_t>(500, 1000, 50),
                                     session.pick<std::int64_t>(400, 800, 50)),
          session.pick<std::vector<double>>({0.003, 0.01, 0.03, 0.1, 0.3}, {0.003, 0.01, 0.03, 0.1},
                                            {0.01, 0.1}),
          session.pick<std::int64_t>(384, 480, 10), session.pick<std::int64_t>(24, 60, 5),
          session.budget() == Budget::full};
}

std::unique_ptr<nn::Module> network_for(const Plan& plan, bool norm, bool sigmoid,
                                        std::uint64_t seed) {
  std::unique_ptr<nn::Module> network;
  if (plan.inception) {
    model::NetworkOptions options;
    options.net = "inception-small";
    options.norm = norm ? "batch" : "none";
    network = builder(plan.material, options)(seed);
  } else {
    PlainNet net{.convolutional = true, .widths = {8, 16, 32, 64}};
    if (norm) net.norm = model::Placement::before;
    network = build(plan.material, net, seed);
  }
  if (sigmoid) use_sigmoid(*network);
  // PyTorch's default draws too small weights for ReLU, which would slow the baseline.
  draw_weights(*network, sigmoid ? nn::init::Nonlinearity::sigmoid : nn::init::Nonlinearity::relu,
               seed);
  return network;
}

/// A network that is lost guesses: its curve goes on at that level.
void guess_from_there(Trained& trained, const Trial& trial) {
  for (const std::int64_t step : evaluations_of(trial)) {
    if (step <= trained.steps) continue;
    trained.accuracy.x.push_back(static_cast<double>(step));
    trained.accuracy.y.push_back(trained.chance);
  }
}

Measure measure_with(const Plan& plan) {
  return [&plan](const Cell& cell) {
    const bool sigmoid = cell.where("sigmoid") != 0;
    Trial trial;
    trial.network = [&](std::uint64_t seed) {
      return network_for(plan, cell.arm == kWith, sigmoid, seed);
    };
    trial.layout = Layout::channels_last;
    trial.seed = cell.seed;
    trial.batch_size = 32;
    trial.rate = cell.where("rate");
    trial.steps = plan.steps;
    const bool tuning = cell.stage == "tune";
    if (!tuning) {
      trial.evaluate_every = plan.every;
      trial.evaluate_growth = 1.25;
    }
    trial.watched = tuning ? &plan.material.splits.validation : &plan.material.splits.test;
    Trained trained = train(plan.material, trial);
    if (trained.diverged && !tuning) guess_from_there(trained, trial);
    Measurement measurement = summarize(trained, cell);
    if (tuning) return measurement;
    measurement.values["best"] =
        trained.diverged ? trained.chance : std::ranges::max(trained.accuracy.y);
    measurement.values["held_back"] =
        trained.diverged ? trained.chance
                         : accuracy_on(*trained.network, plan.material,
                                       plan.material.splits.validation, trial.layout);
    return measurement;
  };
}

std::vector<Variant> variants_of() {
  std::vector<Variant> variants;
  for (const std::string& arm : {kWithout, kWith}) {
    for (const bool sigmoid : {false, true}) {
      for (const double multiple : kMultiples) variants.push_back({arm, sigmoid, multiple});
    }
  }
  return variants;
}

std::vector<Cell> cells_of(const Session& session, const std::vector<Variant>& variants,
                           double base) {
  std::vector<Cell> cells;
  for (const Variant& one : variants) {
    for (const std::uint64_t seed : session.seed_list()) {
      cells.push_back({.arm = one.arm,
                       .at = {{"sigmoid", one.sigmoid ? 1 : 0},
                              {"multiple", one.multiple},
                              {"rate", one.multiple * base}},
                       .seed = seed});
    }
  }
  return cells;
}

/// With the results of all seeds, cells in the order of cells_of().
void assign(std::vector<Variant>& variants, const std::vector<Result>& results) {
  const std::size_t seeds = results.size() / variants.size();
  for (std::size_t i = 0; i < results.size(); ++i) {
    variants[i / seeds].results.push_back(&results[i]);
  }
}

void describe(Session& session, const Plan& plan, double base) {
  session.describe(
      {fmt::format("{}, batches of 32, gradient descent with momentum 0.9, a constant rate, {} "
                   "steps. Weights are drawn as He et al. (2015) recommend for ReLU, the same "
                   "ones with batch norm (before each activation) and without.",
                   plan.inception ? "The network inception-small"
                                  : "Four 3×3 convolutions with 8 to 64 channels and a linear "
                                    "layer",
                   plan.steps),
       fmt::format("Both have the best of {} rates with ReLU, chosen on held-back samples after as "
                   "many steps with another seed. The lower of the two, as a rule that of the "
                   "network without batch norm, is the baseline's rate: {:g}. Every variant then "
                   "runs at 1, 5 and 30 times this rate, {} seeds each, the same ones for all. "
                   "Which multiple suits an arm best, with ReLU and with sigmoid, is said by the "
                   "held-back samples at the end of these runs.",
                   plan.rates.size(), base, session.seeds()),
       fmt::format(
           "Test accuracy is measured on {} samples, first behind 8 steps, then each time behind a "
           "quarter more, in the end every {} steps; between two measurements curves are taken as "
           "straight. The best accuracy of a run is the highest on its curve. Steps are counted, "
           "seed by seed, to the best accuracy of the weaker arm, as a rule the baseline; a run "
           "that never gets there counts with all of its steps, so that the ratio is too near "
           "to 1 then.",
           plan.material.splits.test.size(), plan.every)});
}

void run(Session& session) {
  const Plan plan = plan_of(session);
  std::vector<Variant> variants = variants_of();
  session.expect(static_cast<double>(2 * plan.rates.size()) +
                 static_cast<double>(variants.size()) * session.seeds());
  const Measure measure = measure_with(plan);
  const auto rates = best_rates(
      session, {.arms = {kWithout, kWith}, .rates = plan.rates, .at = {{"sigmoid", 0}}}, measure);
  const double base = std::min(rates.at(kWithout), rates.at(kWith));
  const auto results = session.measure(cells_of(session, variants, base), measure);
  assign(variants, results);
  const Goal goal{best_of_the_weaker(variants), static_cast<double>(plan.steps)};
  describe(session, plan, base);
  add_findings(session, variants, goal);
}

}  // namespace

Experiment learning_rate() {
  return {
      .name = "learning-rate",
      .title = "Higher learning rates",
      .claim =
          "Batch normalization allows much higher learning rates, and with them a network "
          "needs many times fewer steps.",
      .source = "Ioffe and Szegedy 2015, sections 3.3 and 4.2, https://arxiv.org/abs/1502.03167",
      .question =
          "What becomes of a convolutional network at 5 and 30 times the rate that suits it "
          "best without batch norm, and in how many steps does it have the accuracy that it "
          "has without?",
      .supports =
          "Higher accuracy with batch norm at 5 and 30 times the baseline's rate; fewer steps "
          "to the best accuracy of the weaker arm, and a higher best accuracy, each at the "
          "multiple that suits it best; higher with sigmoid, too.",
      .contradicts =
          "Lower accuracy with batch norm at these rates, more steps, a lower best accuracy. No "
          "gain and no loss leave it undecided.",
      .practice =
          {"After adding batch norm, search the learning rate anew and upwards: the old one "
           "leaves most of the gain unused.",
           "Of a layer before batch norm only the direction of its weights matters, so too "
           "large steps make the weights grow and the next steps smaller; warm-up and decay "
           "still help, most of all at large batches."},
      .needs = Needs::images,
      .contrast = {kWith, kWithout},
      .quick_seconds = 30,
      .full_seconds = 2400,
      .run = run};
}

}  // namespace evenkeel::lab
