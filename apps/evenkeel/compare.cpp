// evenkeel compare: the same network with several normalizations, or with and without one, each at
// its best rate of one grid.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "command.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/data/source.h>
#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/train/train.h>

namespace evenkeel::app {
namespace {

struct CompareArguments {
  train::Settings base;
  std::vector<double> rates{0.003, 0.01, 0.03, 0.1, 0.3, 1.0};
  std::vector<double> goals{0.80, 0.85, 0.90, 0.93, 0.95};
  std::vector<std::string> norms{"batch", "none"};
  std::string out = "runs/compare";
  std::int64_t seed = 1;  ///< signed, for unsigned numbers are read from "-1" too
  std::int64_t seeds = 1;
  bool json = false;
};

/// Runs that differ in their seed alone.
struct Trial {
  double rate = 0;
  std::vector<train::TrainResult> runs;

  double validation_accuracy() const {
    double sum = 0;
    for (const auto& run : runs) sum += run.history.back().validation->accuracy;
    return sum / static_cast<double>(runs.size());
  }
  std::vector<double> accuracies() const {
    std::vector<double> all;
    for (const auto& run : runs) all.push_back(run.test->accuracy);
    return all;
  }
  /// The run with the median accuracy, the lower one of two.
  const train::TrainResult& median() const {
    std::vector<const train::TrainResult*> order;
    for (const auto& run : runs) order.push_back(&run);
    const auto middle = order.begin() + (static_cast<std::ptrdiff_t>(order.size()) - 1) / 2;
    std::ranges::nth_element(order, middle, {},
                             [](const auto* run) { return run->test->accuracy; });
    return **middle;
  }
};

struct Arm {
  std::string norm;
  Trial best = {};

  std::string title() const { return norm == "none" ? "without" : "with " + norm + " norm"; }
};

/// Says which run is next, and wipes it away on a terminal.
class Progress {
 public:
  explicit Progress(std::size_t runs) : runs_(runs), terminal_(isatty(STDERR_FILENO) == 1) {}
  void skip(std::size_t runs) { done_ += runs; }
  void next(const std::string& what) {
    ++done_;
    if (terminal_) fmt::print(stderr, "\r\033[K  run {} of {}: {}", done_, runs_, what);
  }
  ~Progress() {
    if (terminal_) fmt::print(stderr, "\r\033[K");
  }

 private:
  std::size_t runs_, done_ = 0;
  bool terminal_;
};

std::string rate_text(double rate) { return fmt::format("{:g}", rate); }

/// "group-8-0.1", and "-seed-2" behind it where there are several.
std::filesystem::path folder_of(const CompareArguments& arguments, const std::string& norm,
                                double rate, std::uint64_t seed) {
  std::string name = norm + "-" + rate_text(rate);
  std::ranges::replace(name, ':', '-');
  if (arguments.seeds > 1) name += fmt::format("-seed-{}", seed);
  return std::filesystem::path(arguments.out) / name;
}

/// All seeds at one rate; no runs where it is too high for one of them. Returns 0, or the exit code
/// of a run that was interrupted.
int train_at(Trial& trial, const Arm& arm, const CompareArguments& arguments,
             const data::Splits& splits, Progress& progress) {
  for (std::int64_t i = 0; i < arguments.seeds; ++i) {
    train::Settings settings = arguments.base;
    settings.seed += static_cast<std::uint64_t>(i);
    settings.norm = arm.norm;
    settings.lr = trial.rate;
    settings.replace = true;
    settings.out = folder_of(arguments, arm.norm, trial.rate, settings.seed);
    std::string what = fmt::format("{}, rate {}", arm.title(), rate_text(trial.rate));
    if (arguments.seeds > 1) what += fmt::format(", seed {}", settings.seed);
    progress.next(what);
    try {
      trial.runs.push_back(train::Trainer(settings, splits).run());
    } catch (const NumericError&) {
      progress.skip(static_cast<std::size_t>(arguments.seeds - i - 1));
      trial.runs.clear();
      return 0;
    }
    if (!trial.runs.back().finished) return trial.runs.back().exit_code();
  }
  return 0;
}

/// Trains at every rate of the grid and keeps the one with the best validation accuracy at the end.
/// Returns 0, or the exit code of a run that was interrupted.
int train_arm(Arm& arm, const CompareArguments& arguments, const data::Splits& splits,
              Progress& progress) {
  for (const double rate : arguments.rates) {
    Trial trial{rate, {}};
    const int code = train_at(trial, arm, arguments, splits, progress);
    if (code != 0) return code;
    if (trial.runs.empty()) continue;
    if (arm.best.runs.empty() || trial.validation_accuracy() > arm.best.validation_accuracy()) {
      arm.best = std::move(trial);
    }
  }
  if (arm.best.runs.empty()) {
    fail<NumericError>("[compare] none of the rates {} trains '{}'; give lower --rates",
                       fmt::join(arguments.rates, ", "), arm.title());
  }
  return 0;
}

Json arm_json(const Arm& arm, const CompareArguments& arguments) {
  const train::TrainResult& median = arm.best.median();
  Json steps;
  for (const double goal : arguments.goals) {
    const auto at = median.steps_to(goal);
    steps[fmt::format("{:g}", goal)] = at ? Json(*at) : Json(nullptr);
  }
  return {{"norm", arm.norm},
          {"lr", arm.best.rate},
          {"validation_accuracy", arm.best.validation_accuracy()},
          {"accuracy", median.test->accuracy},
          {"accuracies", arm.best.accuracies()},
          {"loss", median.test->loss},
          {"steps", median.steps},
          {"seconds", median.seconds},
          {"steps_to", steps},
          {"run", median.folder.string()}};
}

std::string table_of(const std::vector<Arm>& arms, const CompareArguments& arguments) {
  using Align = Table::Align;
  std::vector<Table::Column> columns{
      {"", Align::left}, {"best rate", Align::right}, {"test accuracy", Align::right}};
  const bool spread = arguments.seeds > 1;
  if (spread) columns.insert(columns.end(), {{"lowest", Align::right}, {"highest", Align::right}});
  columns.push_back({"steps to", Align::right});
  for (std::size_t i = 1; i < arguments.goals.size(); ++i) columns.push_back({"", Align::right});
  Table table(columns);
  std::vector<std::string> goals(columns.size() - arguments.goals.size());
  for (const double goal : arguments.goals) goals.push_back(fmt::format("{:g} %", goal * 100));
  table.add(goals);
  for (const Arm& arm : arms) {
    const train::TrainResult& median = arm.best.median();
    std::vector<std::string> cells{arm.title(), rate_text(arm.best.rate),
                                   percent(median.test->accuracy)};
    if (spread) {
      const std::vector<double> all = arm.best.accuracies();
      cells.push_back(percent(std::ranges::min(all)));
      cells.push_back(percent(std::ranges::max(all)));
    }
    for (const double goal : arguments.goals) {
      const auto at = median.steps_to(goal);
      cells.push_back(at ? grouped(*at) : "-");
    }
    table.add(cells);
  }
  return table.str(2);
}

void check(const CompareArguments& arguments) {
  if (arguments.base.epochs < 1) {
    fail<UsageError>("[compare] --epochs must be 1 or more, got {}", arguments.base.epochs);
  }
  if (arguments.seed < 0) {
    fail<UsageError>("[compare] --seed must be 0 or more, got {}", arguments.seed);
  }
  if (arguments.seeds < 1 || arguments.seeds > 1000) {
    fail<UsageError>("[compare] --seeds lies from 1 to 1000, got {}", arguments.seeds);
  }
  if (arguments.base.batch_size < 2) {
    fail<UsageError>("[compare] --batch-size must be 2 or more, got {}", arguments.base.batch_size);
  }
  for (const std::string& norm : arguments.norms) (void)model::parse_norm(norm);
  for (const double rate : arguments.rates) {
    if (!(rate > 0) || !std::isfinite(rate)) {
      fail<UsageError>("[compare] --rates must be numbers above 0, such as 0.01,0.1; got {}", rate);
    }
  }
}

void check_parts(const data::Splits& splits, const std::string& spec) {
  if (splits.validation.size() == 0 || splits.test.size() == 0) {
    fail<UsageError>(
        "[compare] expected samples for validation and for a test, but '{}' has {} and {}; give a "
        "larger data set, or one with a test part",
        spec, splits.validation.size(), splits.test.size());
  }
}

/// Often enough for a curve and seldom enough to cost little.
std::int64_t steps_between_evaluations(const train::Settings& settings, std::int64_t samples) {
  const std::int64_t steps = settings.epochs * (samples / settings.batch_size);
  return std::max<std::int64_t>(10, steps / 200);
}

std::string description(const std::vector<Arm>& arms, const CompareArguments& arguments,
                        const data::Splits& splits) {
  const train::Settings& base = arguments.base;
  std::string seeds;
  if (arguments.seeds > 1) {
    seeds = fmt::format("Seeds {} to {}; the median counts.\n", base.seed,
                        base.seed + static_cast<std::uint64_t>(arguments.seeds) - 1);
  }
  return fmt::format(
      "{} on {}: {} training, {} validation and {} test samples, {} steps of {} each.\n"
      "Rates tried: {}; the one with the best validation accuracy counts.\n"
      "{}Steps to an accuracy are measured on the validation part every {} steps.\n",
      base.net, base.data, grouped(splits.train.size()), grouped(splits.validation.size()),
      grouped(splits.test.size()), grouped(arms[0].best.median().steps), base.batch_size,
      fmt::join(arguments.rates, ", "), seeds, grouped(base.eval_every));
}

int run_compare(CompareArguments arguments) {
  check(arguments);
  train::Settings& base = arguments.base;
  base.seed = static_cast<std::uint64_t>(arguments.seed);
  base.validation = 0.1;
  base.checkpoint_every = 0;
  const data::Splits splits =
      data::open_source(base.data, {.validation = base.validation, .seed = base.seed});
  check_parts(splits, base.data);
  base.eval_every = steps_between_evaluations(base, splits.train.size());
  std::vector<Arm> arms;
  for (const std::string& norm : arguments.norms) arms.push_back({.norm = norm});
  {
    Progress progress(arms.size() * arguments.rates.size() *
                      static_cast<std::size_t>(arguments.seeds));
    for (Arm& arm : arms) {
      const int code = train_arm(arm, arguments, splits, progress);
      if (code != 0) return code;
    }
  }
  if (arguments.json) {
    Json list = Json::array();
    for (const Arm& arm : arms) list.push_back(arm_json(arm, arguments));
    print_json(
        {{"net", base.net}, {"data", base.data}, {"rates", arguments.rates}, {"arms", list}});
    return 0;
  }
  print(fmt::format("{}\n{}\n", description(arms, arguments, splits), table_of(arms, arguments)));
  print("Run folders:\n");
  for (const Arm& arm : arms) print(fmt::format("  {}\n", arm.best.median().folder.string()));
  return 0;
}

}  // namespace

Action define_compare(CLI::App& app) {
  auto arguments = std::make_shared<CompareArguments>();
  arguments->base.epochs = 3;
  app.add_option("--net", arguments->base.net, "the network (mlp)")->option_text("NAME");
  app.add_option("--data", arguments->base.data, "the data (glyphs)")->option_text("SPEC");
  app.add_option("--epochs", arguments->base.epochs, "epochs of every run (3)")->option_text("N");
  app.add_option("--batch-size", arguments->base.batch_size, "samples per step (64)")
      ->option_text("N");
  app.add_option("--norms", arguments->norms, "normalizations (batch,none)")
      ->delimiter(',')
      ->option_text("WORD,WORD,...");
  app.add_option("--rates", arguments->rates, "learning rates to try")
      ->delimiter(',')
      ->option_text("R,R,...");
  app.add_option("--seed", arguments->seed, "of data, weights and order (1)")->option_text("N");
  app.add_option("--seeds", arguments->seeds, "runs at each rate, with seeds N, N+1, ... (1)")
      ->option_text("K");
  app.add_option("--out", arguments->out, "folder of the runs (runs/compare)")->option_text("DIR");
  add_json(app, arguments->json);
  app.footer(
      "Trains at every rate with batch norm and without, or with the normalizations of\n"
      "--norms (the words of train --norm), on the same data and for the same number of\n"
      "steps, and shows the best of each. Runs of before are replaced.\n\n"
      "Examples:\n"
      "  evenkeel compare\n"
      "  evenkeel compare --net convnet --epochs 1 --rates 0.01,0.1\n"
      "  evenkeel compare --norms batch,layer,group:8 --batch-size 2 --epochs 1 --seeds 3\n"
      "  evenkeel compare --net paper-mlp --data mnist:mnist --out runs/paper");
  return [arguments] { return run_compare(*arguments); };
}

}  // namespace evenkeel::app
