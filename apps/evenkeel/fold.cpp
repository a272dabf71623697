// evenkeel fold

#include <algorithm>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "command.h"
#include "fold_text.h"
#include "loaded_run.h"
#include "run_data.h"
#include "run_inputs.h"
#include "run_output.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/core/shell_word.h>
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
  std::vector<std::int64_t> input;
  std::string data;  ///< "": random inputs alone
  std::int64_t samples = 64;
  double tolerance = 1e-4;
  InputNumbers inputs;
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

/// The comparison, and what it left out or the file does not say.
struct Verification {
  deploy::OutputDifference difference;
  std::vector<std::string> notes{};
  bool read_back = false;  ///< what was compared is the written model

  bool same(double tolerance) const { return difference.largest() <= tolerance; }  // not NaN
};

/// The test samples of the data set, in batches, prepared as in training.
void compare_on_data(const FoldArguments& arguments, const LoadedRun& run, nn::Module& network,
                     Verification& verification) {
  const data::Splits splits = open_splits(arguments.data, run);
  const data::Dataset& dataset = part_of("fold", splits, arguments.data, "test");
  check_samples("fold", dataset, arguments.data, run.model.options);
  data::LoaderOptions loading;
  loading.batch_size = run.batch.value_or(std::min<std::int64_t>(arguments.samples, 16));
  loading.last = run.batch ? data::LastBatch::drop : data::LastBatch::keep_all;
  loading.normalization = run.normalization();
  loading.layout = run.layout();
  loading.dtype = run.parameters;
  const bool lengths = !dataset.lengths.empty() && verification.read_back;
  if (lengths) {
    verification.notes.emplace_back(
        "the sequences of the data were compared before writing: the model does not know their "
        "lengths");
  }
  nn::Module& compared = lengths ? *run.model.network : network;
  data::Loader loader(dataset, loading);
  loader.start(0);
  data::Batch batch;
  for (std::int64_t seen = 0; seen < arguments.samples && loader.next(batch);
       seen += batch.size()) {
    verification.difference.add(compared, batch.x, nn::Lengths(batch.lengths));
  }
}

void compare(const FoldArguments& arguments, const LoadedRun& run, nn::Module& network,
             Verification& verification) {
  verification.difference.add_random(network, run.model.options.input, run.batch.value_or(2), 2,
                                     run.layout());
  if (!arguments.data.empty()) compare_on_data(arguments, run, network, verification);
}

/// Null, with a note, where the reader does not take what was written.
std::unique_ptr<nn::Module> read_back(const std::filesystem::path& file,
                                      Verification& verification) {
  try {
    std::unique_ptr<nn::Module> network = deploy::import_onnx(file).network;
    verification.read_back = true;
    return network;
  } catch (const IoError& error) {
    verification.notes.push_back(
        fmt::format("compared before writing: the model cannot be read back: {}", error.what()));
    return nullptr;
  }
}

/// What is compared is the model that is written, before it takes its place.
void save_model(const FoldArguments& arguments, const LoadedRun& run, Verification& verification) {
  deploy::ExportOptions options;
  options.accept = [&](const std::filesystem::path& file) {
    const std::unique_ptr<nn::Module> written = read_back(file, verification);
    compare(arguments, run, written ? *written : *run.model.network, verification);
    return verification.same(arguments.tolerance);
  };
  const deploy::ExportReport report = save_onnx(run, arguments.output, options);
  verification.notes.insert(verification.notes.begin(), report.notes.begin(), report.notes.end());
}

/// What was a named network is a list of layers now.
void save_weights(const FoldArguments& arguments, LoadedRun& run, Verification& verification) {
  const std::string before = run.model.options.net;
  try {
    run.model.options.layers = model::layer_list(*run.model.network);
  } catch (const UsageError& error) {
    fail<Error>(
        "[fold] the result cannot be written as weights; give -o a name that ends in .onnx: {}",
        error.what());
  }
  run.model.options.net = "config";
  compare(arguments, run, *run.model.network, verification);
  if (verification.same(arguments.tolerance)) {
    save(run, arguments.output, {{"folded", before}});
  }
}

Json to_json(const FoldArguments& arguments, const LoadedRun& run, const nn::FoldReport& report,
             const Verification& verification) {
  const deploy::OutputDifference& difference = verification.difference;
  const bool same = verification.same(arguments.tolerance);
  Json json = fold_json(report);
  json["file"] = same ? Json(arguments.output) : Json(nullptr);
  json["samples"] = difference.samples();
  json["read_back"] = verification.read_back;
  json["largest_difference"] = difference.largest();
  json["mean_difference"] = difference.mean();
  json["tolerance"] = arguments.tolerance;
  json["same"] = same;
  json["notes"] = verification.notes;
  json["normalization"] = inputs_json(run);
  return json;
}

std::string text_of(const nn::FoldReport& report, const Verification& verification) {
  const deploy::OutputDifference& difference = verification.difference;
  std::string text = fold_table(report).str();
  text += fmt::format(
      "\n{} samples{} against the network as it was, in double: the largest difference is\n"
      "{:.1e} of the largest output, the mean {:.1e}\n",
      difference.samples(), verification.read_back ? " of the file" : "", difference.largest(),
      difference.mean());
  for (const std::string& note : verification.notes) text += fmt::format("note: {}\n", note);
  return text;
}

void explain(const FoldArguments& arguments, const deploy::OutputDifference& difference) {
  if (std::isnan(difference.largest())) {
    fmt::print(stderr,
               "evenkeel: [fold] outputs are NaN, which nothing is equal to: nothing was written; "
               "see evenkeel doctor {}\n",
               shell_word(arguments.run));
    return;
  }
  fmt::print(stderr,
             "evenkeel: [fold] that is more than {:.1e}: nothing was written; --tolerance allows "
             "more\n",
             arguments.tolerance);
}

int run_fold(const FoldArguments& arguments) {
  check(arguments);
  use_threads(arguments.threads);
  LoadedRun run = load(arguments.run, arguments.input);
  set_inputs("fold", run, arguments.inputs);
  expect_eval_mode("fold", run);
  nn::unfuse(*run.model.network);
  Verification verification{deploy::OutputDifference(*run.model.network)};
  const nn::FoldReport report = nn::fold_norms(*run.model.network);
  expect_sound("fold", report);
  if (deploy::is_onnx(arguments.output)) {
    save_model(arguments, run, verification);
  } else {
    save_weights(arguments, run, verification);
  }
  const bool same = verification.same(arguments.tolerance);
  if (same && !arguments.data.empty()) note_inputs(run);
  if (arguments.json) {
    print_json(to_json(arguments, run, report, verification));
    return same ? 0 : kNotTheSame;
  }
  print(text_of(report, verification));
  if (!same) {
    explain(arguments, verification.difference);
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
  add_open_input(app, arguments->input);
  add_inputs(app, arguments->inputs);
  add_threads(app, arguments->threads);
  add_json(app, arguments->json);
  app.footer(
      "Puts batch norms into the layers with weights before or behind them, says which\n"
      "stay and why, and compares the result (of an ONNX model the file, read back)\n"
      "with the network as it was; where they differ by more than the tolerance it\n"
      "writes nothing and exits with 1.\n\n"
      "Examples:\n"
      "  evenkeel fold runs/mnist -o mnist.safetensors\n"
      "  evenkeel fold resnet50.onnx -o resnet50-folded.onnx\n"
      "  evenkeel fold runs/mnist -o mnist.onnx --data mnist:mnist --samples 1000");
  return [arguments] { return run_fold(*arguments); };
}

}  // namespace evenkeel::app
