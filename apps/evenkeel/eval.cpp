// evenkeel eval

#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "command.h"
#include "fold_text.h"
#include "loaded_run.h"
#include "run_data.h"
#include "run_inputs.h"
#include "run_scores.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/fold.h>
#include <evenkeel/train/evaluate.h>

namespace evenkeel::app {
namespace {

struct EvalArguments {
  std::string run;
  std::vector<std::int64_t> input;
  std::string data;  ///< "": the run's own
  std::string part = "test";
  std::string mode = "eval";
  std::string dtype;  ///< "": as it was trained
  std::int64_t batch_size = 256;
  InputNumbers inputs;
  int threads = 0;
  bool fold = false;
  bool json = false;
};

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// "21 batch norms, 19 activations, 9 sums", and what stayed.
void add_fold_rows(Table& table, const nn::FoldReport& report) {
  table.add(
      {"folded", fmt::format("{}, {}, {}", counted(report.folded.size(), "batch norm"),
                             counted(static_cast<std::size_t>(report.activations), "activation"),
                             counted(static_cast<std::size_t>(report.sums), "sum"))});
  for (const nn::FoldReport::Kept& kept : report.kept) {
    table.add({"not folded", fmt::format("{}: {}", kept.norm, kept.reason)});
  }
}

int run_eval(const EvalArguments& arguments) {
  if (arguments.fold && arguments.mode == "train") {
    fail<UsageError>("[eval] --fold needs the running statistics; leave --mode train out");
  }
  use_threads(arguments.threads);
  LoadedRun run = load(arguments.run, arguments.input);
  set_inputs("eval", run, arguments.inputs);
  const std::string spec = data_of("eval", arguments.data, arguments.run, run);
  const data::Splits splits = open_splits(spec, run);
  const data::Dataset& dataset = part_of("eval", splits, spec, arguments.part);
  check_samples("eval", dataset, spec, run.model.options);
  train::EvalOptions options;
  options.probabilities = expect_scores("eval", run);
  check_classes("eval", dataset, spec, run.model.options);
  options.batch_size = run.batch.value_or(arguments.batch_size);
  options.fixed_batch = run.batch.has_value();
  options.layout = run.layout();
  options.dtype = arguments.dtype.empty()     ? run.dtype()
                  : arguments.dtype == "bf16" ? DType::bf16
                                              : DType::f32;
  options.mode = arguments.mode == "train" ? train::EvalMode::train : train::EvalMode::eval;
  if (::isatty(STDERR_FILENO) != 0) options.progress = show_samples;
  std::optional<nn::FoldReport> folded;
  if (arguments.fold) {
    expect_eval_mode("eval", run);
    folded = nn::fold(*run.model.network);
    expect_sound("eval", *folded);
  }
  const train::Evaluation result =
      train::evaluate(*run.model.network, dataset, run.normalization(), options);
  if (arguments.json) {
    Json json{{"accuracy", result.accuracy},
              {"loss", result.loss},
              {"count", result.count},
              {"run", arguments.run},
              {"file", run.model.file.string()},
              {"net", run.model.options.net},
              {"data", spec},
              {"part", arguments.part},
              {"mode", arguments.mode},
              {"dtype", name_of(options.dtype)},
              {"batch_size", options.batch_size},
              {"normalization", inputs_json(run)}};
    if (folded) json["fold"] = fold_json(*folded);
    print_json(json);
    note_inputs(run);
    return 0;
  }
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  table.add({"network", run.model.options.net});
  table.add({"weights", run.origin()});
  table.add(
      {"data", fmt::format("{}, {} {} samples", spec, grouped(result.count), arguments.part)});
  table.add({"statistics", arguments.mode == "train"
                               ? fmt::format("of each batch of {}", arguments.batch_size)
                               : "running"});
  if (options.dtype != DType::f32) table.add({"activations", std::string(name_of(options.dtype))});
  if (folded) add_fold_rows(table, *folded);
  table.add({"accuracy", percent(result.accuracy)});
  table.add({"loss", fmt::format("{:.4f}", result.loss)});
  print(table.str());
  note_inputs(run);
  return 0;
}

}  // namespace

Action define_eval(CLI::App& app) {
  auto arguments = std::make_shared<EvalArguments>();
  add_run(app, arguments->run);
  app.add_option("--data", arguments->data, "the data set (the run's own)")->option_text("SPEC");
  app.add_option("--part", arguments->part, "train, validation or test (test)")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->option_text("NAME");
  app.add_option("--mode", arguments->mode,
                 "eval: normalize with the running statistics; train: with those of each batch "
                 "(eval)")
      ->check(CLI::IsMember({"eval", "train"}))
      ->option_text("NAME");
  app.add_option("--dtype", arguments->dtype, "of the activations: f32 or bf16 (as it was trained)")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->option_text("NAME");
  app.add_option("--batch-size", arguments->batch_size, "samples at a time (256)")
      ->option_text("N");
  add_open_input(app, arguments->input);
  add_inputs(app, arguments->inputs);
  add_threads(app, arguments->threads);
  app.add_flag("--fold", arguments->fold,
               "as it is deployed: batch norms folded into the layers around them");
  add_json(app, arguments->json);
  app.footer(
      "Examples:\n"
      "  evenkeel eval runs/mlp-glyphs\n"
      "  evenkeel eval runs/mnist --data mnist:mnist --json\n"
      "  evenkeel eval runs/mnist --mode train --batch-size 16\n"
      "  evenkeel eval runs/mnist --fold");
  return [arguments] { return run_eval(*arguments); };
}

}  // namespace evenkeel::app
