// evenkeel train

#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "command.h"
#include "text.h"
#include "train_flags.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/shell_word.h>
#include <evenkeel/data/source.h>
#include <evenkeel/model/config.h>
#include <evenkeel/train/train.h>

namespace evenkeel::app {
namespace {

struct TrainArguments {
  std::string config;
  TrainFlags flags;
  bool json = false;
};

/// Default, then the config file (of a resumed run: what it was started with), then flags.
train::Settings gather(const TrainArguments& arguments) {
  train::Settings flags_alone;
  arguments.flags.apply(flags_alone);
  train::Settings settings;
  if (!arguments.config.empty()) {
    const model::Config config = model::read_config(arguments.config);
    try {
      settings = train::settings_from(config);
    } catch (const UsageError& error) {
      fail<UsageError>("{} (in '{}')", error.what(), arguments.config);
    }
  } else if (flags_alone.resume && !flags_alone.out.empty()) {
    settings = train::stored_settings(flags_alone.out);
  }
  arguments.flags.apply(settings);
  return settings;
}

Json to_json(const train::Evaluation& evaluation) {
  return {
      {"accuracy", evaluation.accuracy}, {"loss", evaluation.loss}, {"count", evaluation.count}};
}

Json epochs_json(const train::TrainResult& result) {
  Json list = Json::array();
  for (const train::EpochRecord& record : result.history) {
    Json epoch{{"epoch", record.epoch},       {"step", record.step}, {"loss", record.loss},
               {"accuracy", record.accuracy}, {"lr", record.lr},     {"seconds", record.seconds},
               {"skipped", record.skipped}};
    if (record.validation) epoch["validation"] = to_json(*record.validation);
    list.push_back(std::move(epoch));
  }
  return list;
}

Json evaluations_json(const train::TrainResult& result) {
  Json list = Json::array();
  for (const train::StepEvaluation& at : result.evaluations) {
    Json entry = to_json(at.evaluation);
    entry["step"] = at.step;
    list.push_back(std::move(entry));
  }
  return list;
}

Json result_json(train::Trainer& trainer, const train::TrainResult& result) {
  const train::Settings& settings = trainer.settings();
  Json json{{"run", result.folder.string()},
            {"finished", result.finished},
            {"net", settings.net},
            {"data", settings.data},
            {"norm", settings.norm},
            {"parameters", trainer.network().parameter_count()},
            {"train_samples", trainer.splits().train.size()},
            {"lr", settings.lr.value_or(0)},
            {"seed", settings.seed},
            {"steps", result.steps},
            {"skipped", result.skipped},
            {"seconds", result.seconds},
            {"samples_per_second", result.samples_per_second}};
  if (result.test) {
    json["accuracy"] = result.test->accuracy;
    json["loss"] = result.test->loss;
    json["test_samples"] = result.test->count;
  }
  if (result.ema) json["ema_accuracy"] = result.ema->accuracy;
  if (result.swa) json["swa_accuracy"] = result.swa->accuracy;
  if (result.best_epoch > 0) {
    json["best_epoch"] = result.best_epoch;
    json["best_validation_accuracy"] = result.best_accuracy;
  }
  json["stopped_early"] = result.stopped_early;
  json["epochs"] = epochs_json(result);
  if (!result.evaluations.empty()) json["evaluations"] = evaluations_json(result);
  return json;
}

int run_train(const TrainArguments& arguments) {
  const train::Settings settings = gather(arguments);
  train::TerminalReporter reporter(arguments.json ? stderr : stdout, stderr);
  train::Trainer trainer(settings, &reporter);
  const train::TrainResult result = trainer.run();
  if (arguments.json) {
    print_json(result_json(trainer, result));
  } else if (result.finished) {
    print(fmt::format("\nnext:  evenkeel inspect {0}\n       evenkeel eval {0}\n",
                      shell_word(result.folder.string())));
  }
  return result.exit_code();
}

std::string footer() {
  std::vector<std::pair<std::string, std::string>> nets, sources;
  for (const model::NetworkInfo& net : model::networks()) nets.emplace_back(net.name, net.help);
  nets.emplace_back("config", "the [[layer]] list of CONFIG");
  for (const data::SourceInfo& source : data::sources()) {
    sources.emplace_back(source.pattern, source.help);
  }
  return fmt::format(
      "A CONFIG file is TOML; its keys are the flags' names (batch_size = 128). Flags\n"
      "go before the file, the file before the defaults, which stand in parentheses.\n\n"
      "Networks:\n{}\nData:\n{}\n"
      "Examples:\n"
      "  evenkeel train\n"
      "  evenkeel train --net mlp --data mnist:mnist --epochs 5 --out runs/mnist\n"
      "  evenkeel train --net convnet --norm none --lr 0.01 --seed 2\n"
      "  evenkeel train --net resnet20 --data cifar10:cifar --epochs 10\n"
      "  evenkeel train my.toml --placement after\n"
      "  evenkeel train --out runs/mnist --resume",
      definitions(nets), definitions(sources));
}

}  // namespace

Action define_train(CLI::App& app) {
  auto arguments = std::make_shared<TrainArguments>();
  app.add_option("CONFIG", arguments->config, "a TOML file with settings or layers")
      ->option_text(" ");
  arguments->flags.add_to(app);
  app.add_flag("--json", arguments->json, "print one JSON object, and progress on stderr")
      ->group("Run");
  app.footer(footer());
  return [arguments] { return run_train(*arguments); };
}

}  // namespace evenkeel::app
