// evenkeel recalibrate

#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "command.h"
#include "loaded_run.h"
#include "run_data.h"
#include "run_inputs.h"
#include "run_output.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/deploy/recalibrate.h>
#include <evenkeel/train/evaluate.h>

namespace evenkeel::app {
namespace {

struct RecalibrateArguments {
  std::string run;
  std::string output;
  std::vector<std::int64_t> input;
  std::string data;  ///< "": the run's own
  std::string part = "train";
  std::string method = "exact";
  std::string order = "at-once";
  double weight = 1;
  std::int64_t samples = 0;
  std::int64_t batch_size = 256;
  InputNumbers inputs;
  int threads = 0;
  bool json = false;
};

train::Evaluation measure(LoadedRun& run, const data::Dataset& dataset) {
  train::EvalOptions options;
  options.batch_size = run.batch.value_or(options.batch_size);
  options.fixed_batch = run.batch.has_value();
  options.layout = run.layout();
  options.dtype = run.dtype();
  return train::evaluate(*run.model.network, dataset, run.normalization(), options);
}

int run_recalibrate(const RecalibrateArguments& arguments) {
  check_output("recalibrate", arguments.run, arguments.output);
  use_threads(arguments.threads);
  LoadedRun run = load(arguments.run, arguments.input);
  set_inputs("recalibrate", run, arguments.inputs);
  const std::string spec = data_of("recalibrate", arguments.data, arguments.run, run);
  const data::Splits splits = open_splits(spec, run);
  const data::Dataset& dataset = part_of("recalibrate", splits, spec, arguments.part);
  check_samples("recalibrate", dataset, spec, run.model.options);
  deploy::RecalibrationOptions options;
  using enum deploy::StatisticsMethod;
  using enum deploy::StatisticsOrder;
  options.method = arguments.method == name_of(averages) ? averages : exact;
  options.order = arguments.order == name_of(layer_by_layer) ? layer_by_layer : at_once;
  options.samples = arguments.samples;
  options.batch_size = run.batch.value_or(arguments.batch_size);
  options.weight = arguments.weight;
  options.layout = run.layout();
  options.dtype = run.dtype();
  if (::isatty(STDERR_FILENO) != 0) options.progress = show_samples;
  const bool measurable =
      splits.test.size() > 0 && splits.test.classes <= run.model.options.classes;
  std::optional<train::Evaluation> before, after;
  if (measurable) before = measure(run, splits.test);
  const deploy::RecalibrationReport report =
      deploy::recalibrate(*run.model.network, dataset, run.normalization(), options);
  if (measurable) after = measure(run, splits.test);
  const std::vector<std::string> notes =
      save(run, arguments.output,
           {{"recalibrated", fmt::format("{} statistics of {} samples, {}", arguments.method,
                                         report.samples, arguments.order)}});
  if (arguments.json) {
    Json layers = Json::array(), kept = Json::array();
    for (const auto& layer : report.layers) {
      layers.push_back({{"layer", layer.path},
                        {"shift", layer.shift},
                        {"narrowest", layer.narrowest},
                        {"widest", layer.widest}});
    }
    for (const auto& [path, reason] : report.kept) {
      kept.push_back({{"layer", path}, {"reason", reason}});
    }
    Json json{{"file", arguments.output},
              {"samples", report.samples},
              {"normalization", inputs_json(run)},
              {"layers", layers},
              {"kept", kept},
              {"notes", notes}};
    if (measurable) {
      json["accuracy_before"] = before->accuracy;
      json["accuracy"] = after->accuracy;
    }
    print_json(json);
    note_inputs(run);
    return 0;
  }
  Table table({{"layer"}, {"mean moved", Table::Align::right}, {"deviation", Table::Align::right}});
  for (const auto& layer : report.layers) {
    table.add({layer.path, fmt::format("{:.2f} σ", layer.shift),
               fmt::format("{:.2f} to {:.2f} of before", layer.narrowest, layer.widest)});
  }
  for (const auto& [path, reason] : report.kept) table.add({path, "kept", reason});
  print(table.str());
  print(fmt::format("\n{} samples of the {} part\n", grouped(report.samples), arguments.part));
  if (measurable) {
    print(fmt::format("test accuracy {}, before {}\n", percent(after->accuracy),
                      percent(before->accuracy)));
  }
  for (const std::string& note : notes) print(fmt::format("note: {}\n", note));
  print(fmt::format("\nnext:  evenkeel eval {} --data SPEC\n", arguments.output));
  note_inputs(run);
  return 0;
}

}  // namespace

Action define_recalibrate(CLI::App& app) {
  auto arguments = std::make_shared<RecalibrateArguments>();
  add_run(app, arguments->run);
  app.add_option("-o,--output", arguments->output, "the .safetensors or .onnx file to write")
      ->required()
      ->option_text("FILE");
  app.add_option("--data", arguments->data, "the data set (the run's own)")->option_text("SPEC");
  app.add_option("--part", arguments->part, "train, validation or test (train)")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->option_text("NAME");
  app.add_option("--samples", arguments->samples, "so many of them, drawn (all)")->option_text("N");
  app.add_option("--method", arguments->method,
                 "exact: over all values; averages: of the batches' statistics, as PyTorch's "
                 "update_bn (exact)")
      ->check(CLI::IsMember({"exact", "averages"}))
      ->option_text("NAME");
  app.add_option("--order", arguments->order,
                 "at-once: one pass, as in training; layer-by-layer: a pass for each, behind the "
                 "new statistics of those before it (at-once)")
      ->check(CLI::IsMember({"at-once", "layer-by-layer"}))
      ->option_text("NAME");
  app.add_option("--adapt", arguments->weight,
                 "weight of the new statistics beside the old ones (1)")
      ->option_text("W");
  app.add_option("--batch-size", arguments->batch_size, "samples at a time (256)")
      ->option_text("N");
  add_open_input(app, arguments->input);
  add_inputs(app, arguments->inputs);
  add_threads(app, arguments->threads);
  add_json(app, arguments->json);
  app.footer(
      "Examples:\n"
      "  evenkeel recalibrate runs/mnist -o mnist.safetensors\n"
      "  evenkeel recalibrate runs/mnist --data mnist:dark --adapt 0.5 -o new.safetensors\n"
      "  evenkeel recalibrate a.onnx --data mnist:mnist --order layer-by-layer -o b.onnx");
  return [arguments] { return run_recalibrate(*arguments); };
}

}  // namespace evenkeel::app
