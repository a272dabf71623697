// evenkeel fold

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "command.h"
#include "fold_text.h"
#include "loaded_run.h"
#include "run_data.h"
#include "run_output.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/data/loader.h>
#include <evenkeel/deploy/difference.h>
#include <evenkeel/deploy/onnx_network.h>
#include <evenkeel/nn/fusion.h>

namespace evenkeel::app {
namespace {

constexpr int kNotTheSame = 1;

struct FoldArguments {
  std::string run;
  std::string output;
  std::string data;  ///< "": random inputs alone
  std::int64_t samples = 64;
  double tolerance = 1e-4;
  int threads = 0;
  bool json = false;
};

void check(const FoldArguments& arguments) {
  check_output("fold", arguments.run, arguments.output);
  if (arguments.samples < 1) {
    fail<UsageError>("[fold] --samples must be 1 or more, got {}", arguments.samples);
  }
  if (!(arguments.tolerance > 0)) {
    fail<UsageError>("[fold] --tolerance must be above 0, got {}", arguments.tolerance);
  }
}

/// The test samples of the data set, in batches, prepared as in training.
void compare_on_data(const FoldArguments& arguments, LoadedRun& run,
                     deploy::OutputDifference& difference) {
  const data::Splits splits = open_splits(arguments.data, run);
  const data::Dataset& dataset = part_of("fold", splits, arguments.data, "test");
  check_samples("fold", dataset, arguments.data, run.model.options);
  data::LoaderOptions loading;
  loading.batch_size = run.batch.value_or(std::min<std::int64_t>(arguments.samples, 16));
  loading.last = run.batch ? data::LastBatch::drop : data::LastBatch::keep_all;
  loading.normalization = run.normalization();
  loading.layout = run.layout();
  data::Loader loader(dataset, loading);
  loader.start(0);
  data::Batch batch;
  for (std::int64_t seen = 0; seen < arguments.samples && loader.next(batch);
       seen += batch.size()) {
    difference.add(*run.model.network, batch.x, nn::Lengths(batch.lengths));
  }
}

/// What was a named network is a list of layers now.
void save_folded(LoadedRun& run, const std::string& output) {
  const std::string before = run.model.options.net;
  if (!deploy::is_onnx(output)) {
    run.model.options.layers = model::layer_list(*run.model.network);
    run.model.options.net = "config";
  }
  save(run, output, {{"folded", before}});
}

Json to_json(const FoldArguments& arguments, const nn::FoldReport& report,
             const deploy::OutputDifference& difference, bool same) {
  Json json = fold_json(report);
  json["file"] = same ? Json(arguments.output) : Json(nullptr);
  json["samples"] = difference.samples();
  json["largest_difference"] = difference.largest();
  json["mean_difference"] = difference.mean();
  json["tolerance"] = arguments.tolerance;
  json["same"] = same;
  return json;
}

int run_fold(const FoldArguments& arguments) {
  check(arguments);
  use_threads(arguments.threads);
  LoadedRun run = load(arguments.run);
  nn::unfuse(*run.model.network);
  deploy::OutputDifference difference(*run.model.network);
  const nn::FoldReport report = nn::fold_norms(*run.model.network);
  const std::int64_t batch = run.batch.value_or(2);
  difference.add_random(*run.model.network, run.model.options.input, batch, 2, run.layout());
  if (!arguments.data.empty()) compare_on_data(arguments, run, difference);
  const bool same = difference.largest() <= arguments.tolerance;  // false for NaN
  if (same) save_folded(run, arguments.output);
  if (arguments.json) {
    print_json(to_json(arguments, report, difference, same));
    return same ? 0 : kNotTheSame;
  }
  print(fold_table(report).str());
  print(fmt::format(
      "\n{} samples against the network as it was, in double: the largest difference is {:.1e} of\n"
      "the largest output, the mean {:.1e}\n",
      difference.samples(), difference.largest(), difference.mean()));
  if (!same) {
    fmt::print(stderr,
               "evenkeel: [fold] that is more than {:.1e}: nothing was written; --tolerance allows "
               "more\n",
               arguments.tolerance);
    return kNotTheSame;
  }
  print(fmt::format("\nnext:  evenkeel eval {}{}\n", arguments.output,
                    run.settings ? " --data " + run.settings->data : " --data SPEC"));
  return 0;
}

}  // namespace

Action define_fold(CLI::App& app) {
  auto arguments = std::make_shared<FoldArguments>();
  add_run(app, arguments->run);
  app.add_option("-o,--output", arguments->output, "the .safetensors or .onnx file to write")
      ->required()
      ->option_text("FILE");
  app.add_option("--data", arguments->data,
                 "compare on test samples of this data set too, not on random inputs alone")
      ->option_text("SPEC");
  app.add_option("--samples", arguments->samples, "so many of them (64)")->option_text("N");
  app.add_option("--tolerance", arguments->tolerance,
                 "the largest difference allowed, of the largest output (1e-04)")
      ->option_text("X");
  add_threads(app, arguments->threads);
  add_json(app, arguments->json);
  app.footer(
      "Puts batch norms into the layers with weights before or behind them, says which\n"
      "stay and why, and compares the result with the network as it was; where they\n"
      "differ by more than the tolerance it writes nothing and exits with 1.\n\n"
      "Examples:\n"
      "  evenkeel fold runs/mnist -o mnist.safetensors\n"
      "  evenkeel fold resnet50.onnx -o resnet50-folded.onnx\n"
      "  evenkeel fold runs/mnist -o mnist.onnx --data mnist:mnist --samples 1000");
  return [arguments] { return run_fold(*arguments); };
}

}  // namespace evenkeel::app
