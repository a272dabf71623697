// evenkeel export

#include <memory>
#include <optional>

#include <fmt/format.h>

#include "command.h"
#include "fold_text.h"
#include "loaded_run.h"
#include "norm_text.h"
#include "run_inputs.h"
#include "run_output.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/deploy/onnx_network.h>
#include <evenkeel/deploy/state_dict.h>
#include <evenkeel/nn/fold.h>

namespace evenkeel::app {
namespace {

struct ExportArguments {
  std::string run;
  std::string output;
  std::vector<std::int64_t> input;
  std::int64_t batch = 0;  ///< 0: any
  InputNumbers inputs;
  bool training = false;
  bool fold = false;
  bool json = false;
};

/// The tensors alone, by PyTorch's names.
int export_state_dict(LoadedRun& run, const ExportArguments& arguments) {
  deploy::save_state_dict(arguments.output, *run.model.network);
  const std::size_t tensors = run.model.network->state_dict(/*exported_only=*/true).size();
  if (arguments.json) {
    Json json{{"run", arguments.run}, {"file", arguments.output}, {"tensors", tensors}};
    put_norms(*run.model.network, json);
    print_json(json);
    return 0;
  }
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  table.add({"network", run.model.options.net});
  table.add({"weights", run.origin()});
  table.add({"state dict", fmt::format("{}, {} tensors", arguments.output, tensors)});
  const std::string norms = norms_text(*run.model.network, /*momentum=*/false);
  table.add({"batch norm", norms == "none" ? norms : norms + ", which it does not hold"});
  print(table.str());
  return 0;
}

int run_export(const ExportArguments& arguments) {
  const bool state_dict = arguments.output.ends_with(".safetensors");
  if (!deploy::is_onnx(arguments.output) && !state_dict) {
    fail<UsageError>(
        "[export] '{}' does not say the format; give a name that ends in .onnx or .safetensors",
        arguments.output);
  }
  if (state_dict && (arguments.fold || arguments.training || arguments.batch > 0)) {
    fail<UsageError>(
        "[export] a state dict has neither mode nor batch; leave --fold, --training and --batch "
        "out");
  }
  if (arguments.fold && arguments.training) {
    fail<UsageError>("[export] a folded network is not trained; leave --fold or --training out");
  }
  if (arguments.batch < 0) {
    fail<UsageError>("[export] --batch must be 1 or more, got {}", arguments.batch);
  }
  if (state_dict && arguments.inputs.given()) {
    fail<UsageError>(
        "[export] a state dict does not say how inputs are normalized; leave --mean "
        "and --std out");
  }
  check_destination("export", {arguments.run}, arguments.output);
  LoadedRun run = load(arguments.run, arguments.input);
  set_inputs("export", run, arguments.inputs);
  if (state_dict) return export_state_dict(run, arguments);
  std::optional<nn::FoldReport> folded;
  if (arguments.fold) {
    expect_eval_mode("export", run);
    folded = nn::fold(*run.model.network);
    expect_sound("export", *folded);
  }
  deploy::ExportOptions options;
  options.training = arguments.training;
  if (arguments.batch > 0) options.batch = arguments.batch;
  const deploy::ExportReport report = save_onnx(run, arguments.output, options);
  if (arguments.json) {
    Json json{{"run", arguments.run},          {"file", arguments.output},
              {"opset", deploy::kExportOpset}, {"nodes", report.nodes},
              {"bytes", report.bytes},         {"training", arguments.training},
              {"notes", report.notes},         {"normalization", inputs_json(run)}};
    if (folded) json["folded"] = fold_json(*folded)["folded"];
    print_json(json);
    note_inputs(run);
    return 0;
  }
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  table.add({"network", run.model.options.net});
  table.add({"weights", run.origin()});
  table.add({"model",
             fmt::format("{}, {} nodes, {} bytes, operator set {}", arguments.output, report.nodes,
                         grouped(static_cast<std::int64_t>(report.bytes)), deploy::kExportOpset)});
  if (folded) table.add({"folded", fmt::format("{} batch norms", folded->folded.size())});
  for (const std::string& note : report.notes) table.add({"note", note});
  print(table.str());
  note_inputs(run);
  return 0;
}

}  // namespace

Action define_export(CLI::App& app) {
  auto arguments = std::make_shared<ExportArguments>();
  add_run(app, arguments->run);
  app.add_option("-o,--output", arguments->output, "the .onnx or .safetensors file to write")
      ->required()
      ->option_text("FILE");
  app.add_option("--batch", arguments->batch, "the only batch that the model takes (any)")
      ->option_text("N");
  app.add_flag("--training", arguments->training,
               "batch norm and dropout as in training, not as in eval mode");
  app.add_flag("--fold", arguments->fold, "batch norms folded into the layers around them");
  add_open_input(app, arguments->input);
  add_inputs(app, arguments->inputs);
  add_json(app, arguments->json);
  app.footer(
      "Writes ONNX, operator set 17. The model remembers how inputs are normalized and\n"
      "what classes are called, so that eval and predict take it in place of a run.\n"
      "A .safetensors file holds the tensors alone, by PyTorch's names, for PyTorch.\n\n"
      "Examples:\n"
      "  evenkeel export runs/mnist -o mnist.onnx\n"
      "  evenkeel export runs/mnist -o fast.onnx --fold\n"
      "  evenkeel export runs/mnist -o for-torch.safetensors\n"
      "  evenkeel predict mnist.onnx seven.png");
  return [arguments] { return run_export(*arguments); };
}

}  // namespace evenkeel::app
