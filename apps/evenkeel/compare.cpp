// evenkeel compare: the same network with and without batch norm, each at its best rate of one
// grid.

#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "command.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/data/source.h>
#include <evenkeel/train/train.h>

namespace evenkeel::app {
namespace {

struct CompareArguments {
  train::Settings base;
  std::vector<double> rates{0.003, 0.01, 0.03, 0.1, 0.3, 1.0};
  std::vector<double> goals{0.80, 0.85, 0.90, 0.93, 0.95};
  std::string out = "runs/compare";
  std::int64_t seed = 1;  ///< signed, for unsigned numbers are read from "-1" too
  bool json = false;
};

struct Arm {
  std::string norm, title;
  double rate = 0;
  train::TrainResult best;

  double validation_accuracy() const { return best.history.back().validation->accuracy; }
};

/// Says which run is next, and wipes it away on a terminal.
class Progress {
 public:
  explicit Progress(std::size_t runs) : runs_(runs), terminal_(isatty(STDERR_FILENO) == 1) {}
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

/// Trains at every rate of the grid and keeps the one with the best validation accuracy at the end.
/// Returns 0, or the exit code of a run that was interrupted.
int train_arm(Arm& arm, const CompareArguments& arguments, const data::Splits& splits,
              Progress& progress) {
  bool found = false;
  for (const double rate : arguments.rates) {
    progress.next(fmt::format("{}, rate {}", arm.title, rate_text(rate)));
    train::Settings settings = arguments.base;
    settings.norm = arm.norm;
    settings.lr = rate;
    settings.replace = true;
    settings.out = (std::filesystem::path(arguments.out) / (arm.norm + "-" + rate_text(rate)));
    train::TrainResult result;
    try {
      result = train::Trainer(settings, splits).run();
    } catch (const NumericError&) {
      continue;  // this rate is too high for this arm
    }
    if (!result.finished) return result.exit_code();
    if (!found || result.history.back().validation->accuracy > arm.validation_accuracy()) {
      arm.best = std::move(result);
      arm.rate = rate;
      found = true;
    }
  }
  if (!found)
    fail<NumericError>("[compare] none of the rates {} trains '{}'; give lower --rates",
                       fmt::join(arguments.rates, ", "), arm.title);
  return 0;
}

Json arm_json(const Arm& arm, const CompareArguments& arguments) {
  Json steps;
  for (const double goal : arguments.goals) {
    const auto at = arm.best.steps_to(goal);
    steps[fmt::format("{:g}", goal)] = at ? Json(*at) : Json(nullptr);
  }
  return {{"norm", arm.norm},
          {"lr", arm.rate},
          {"validation_accuracy", arm.validation_accuracy()},
          {"accuracy", arm.best.test->accuracy},
          {"loss", arm.best.test->loss},
          {"steps", arm.best.steps},
          {"seconds", arm.best.seconds},
          {"steps_to", steps},
          {"run", arm.best.folder.string()}};
}

std::string table_of(const std::vector<Arm>& arms, const CompareArguments& arguments) {
  using Align = Table::Align;
  std::vector<Table::Column> columns{{"", Align::left},
                                     {"best rate", Align::right},
                                     {"test accuracy", Align::right},
                                     {"steps to", Align::right}};
  for (std::size_t i = 1; i < arguments.goals.size(); ++i) columns.push_back({"", Align::right});
  Table table(columns);
  std::vector<std::string> goals{"", "", ""};
  for (const double goal : arguments.goals) goals.push_back(fmt::format("{:g} %", goal * 100));
  table.add(goals);
  for (const Arm& arm : arms) {
    std::vector<std::string> cells{arm.title, rate_text(arm.rate),
                                   percent(arm.best.test->accuracy)};
    for (const double goal : arguments.goals) {
      const auto at = arm.best.steps_to(goal);
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

int run_compare(CompareArguments arguments) {
  check(arguments);
  train::Settings& base = arguments.base;
  base.seed = static_cast<std::uint64_t>(arguments.seed);
  base.validation = 0.1;
  base.eval_every = 10;
  base.checkpoint_every = 0;
  const data::Splits splits =
      data::open_source(base.data, {.validation = base.validation, .seed = base.seed});
  check_parts(splits, base.data);
  std::vector<Arm> arms{{"batch", "with batch norm", 0, {}}, {"none", "without", 0, {}}};
  {
    Progress progress(arms.size() * arguments.rates.size());
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
  print(fmt::format(
      "{} on {}: {} training, {} validation and {} test samples, {} steps each.\n"
      "Rates tried: {}; the one with the best validation accuracy counts.\n"
      "Steps to an accuracy are measured on the validation part every {} steps.\n\n{}\n",
      base.net, base.data, grouped(splits.train.size()), grouped(splits.validation.size()),
      grouped(splits.test.size()), grouped(arms[0].best.steps),
      fmt::format("{}", fmt::join(arguments.rates, ", ")), base.eval_every,
      table_of(arms, arguments)));
  print("Run folders:\n");
  for (const Arm& arm : arms) print(fmt::format("  {}\n", arm.best.folder.string()));
  return 0;
}

}  // namespace

Action define_compare(CLI::App& app) {
  auto arguments = std::make_shared<CompareArguments>();
  arguments->base.epochs = 3;
  app.add_option("--net", arguments->base.net, "the network (mlp)")->option_text("NAME");
  app.add_option("--data", arguments->base.data, "the data (glyphs)")->option_text("SPEC");
  app.add_option("--epochs", arguments->base.epochs, "epochs of every run (3)")->option_text("N");
  app.add_option("--rates", arguments->rates, "learning rates to try")
      ->delimiter(',')
      ->option_text("R,R,...");
  app.add_option("--seed", arguments->seed, "of data, weights and order (1)")->option_text("N");
  app.add_option("--out", arguments->out, "folder of the runs (runs/compare)")->option_text("DIR");
  app.add_flag("--json", arguments->json, "print one JSON object");
  app.footer(
      "Trains at every rate with batch norm and without, on the same data and for the\n"
      "same number of steps, and shows the best of each. Runs of before are replaced.\n\n"
      "Examples:\n"
      "  evenkeel compare\n"
      "  evenkeel compare --net convnet --epochs 1 --rates 0.01,0.1\n"
      "  evenkeel compare --net paper-mlp --data mnist:mnist --out runs/paper");
  return [arguments] { return run_compare(*arguments); };
}

}  // namespace evenkeel::app
