// evenkeel import

#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "command.h"
#include "loaded_run.h"
#include "norm_text.h"
#include "run_inputs.h"
#include "run_output.h"
#include "shared_options.h"
#include "text.h"
#include <evenkeel/core/error.h>
#include <evenkeel/deploy/onnx_network.h>
#include <evenkeel/deploy/state_dict.h>

namespace evenkeel::app {
namespace {

constexpr int kDoesNotFit = 1;

struct ImportArguments {
  std::string weights;
  std::string output;
  std::string into;
  std::string dict;
  std::string match = "name";
  std::string from;
  std::string config;
  std::optional<std::string> net, norm, placement, activation;
  std::optional<double> eps, momentum, decay;
  std::vector<std::int64_t> input;
  std::optional<std::int64_t> classes;
  InputNumbers inputs;
  bool partial = false;
  bool json = false;
};

/// What the tensors go into.
struct Target {
  model::NetworkOptions options;
  model::InputRecipe recipe;
  std::unique_ptr<nn::Module> network;
};

void check(const ImportArguments& arguments) {
  const bool described = arguments.net || !arguments.config.empty() || arguments.norm ||
                         arguments.placement || arguments.activation || arguments.classes ||
                         !arguments.input.empty();
  if (!arguments.into.empty() && described) {
    fail<UsageError>(
        "[import] --into RUN says what the network is; leave out --net and what describes it");
  }
  if (arguments.into.empty() && arguments.config.empty() && arguments.input.empty()) {
    fail<UsageError>(
        "[import] the file does not say what the network is; give --net and --input, such as --net "
        "resnet20 --input 3,32,32, or --into RUN");
  }
  if (arguments.momentum && arguments.decay) {
    fail<UsageError>("[import] --momentum and --decay say the same thing; give one of them");
  }
  check_inputs("import", arguments.inputs);
  if (!arguments.output.empty() && !arguments.output.ends_with(".safetensors")) {
    fail<UsageError>("[import] '{}' does not say the format; give a name that ends in .safetensors",
                     arguments.output);
  }
  if (!arguments.output.empty()) {
    check_destination("import", {arguments.weights, arguments.into}, arguments.output);
  }
}

/// The convention asked for, then what is given one by one; of a listed network, in place of what
/// its layers say, for the source computes with one number wherever it has no other.
void set_norm_options(const ImportArguments& arguments, model::NetworkOptions& options) {
  std::optional<double> eps = arguments.eps, momentum = arguments.momentum;
  if (arguments.decay) momentum = 1 - *arguments.decay;
  if (!arguments.from.empty()) {
    const deploy::Convention& source = deploy::convention(arguments.from);
    eps = eps.value_or(source.eps);
    momentum = momentum.value_or(source.momentum);
  }
  if ((eps && !(*eps >= 0 && std::isfinite(*eps))) ||
      (momentum && !(*momentum >= 0 && *momentum <= 1))) {
    fail<UsageError>("[import] --eps is 0 or more, and --momentum and --decay lie from 0 to 1");
  }
  if (eps) options.eps = *eps;
  if (momentum) options.momentum = *momentum;
  model::set_norm_numbers(options.layers, model::norm_numbers(eps, momentum ? &momentum : nullptr),
                          model::NormRows::all);
}

void set_recipe(const ImportArguments& arguments, Target& target) {
  check_inputs("import", arguments.inputs, target.options.input[0]);
  if (!arguments.inputs.given()) return;
  target.recipe.mean = arguments.inputs.mean;
  target.recipe.stddev = arguments.inputs.stddev;
}

model::NetworkOptions described(const ImportArguments& arguments) {
  model::Config config;
  if (!arguments.config.empty()) config = model::read_config(arguments.config);
  Options& values = config.values;
  if (arguments.net) values.set("net", *arguments.net);
  if (arguments.norm) values.set("norm", *arguments.norm);
  if (arguments.placement) values.set("placement", *arguments.placement);
  if (arguments.activation) values.set("activation", *arguments.activation);
  if (arguments.classes) values.set("classes", *arguments.classes);
  if (!arguments.input.empty()) values.set("input", arguments.input);
  model::NetworkOptions options = model::network_options(config);
  // What the file says for all layers is for those that say nothing themselves.
  const auto eps = values.contains("eps") ? std::optional<double>(options.eps) : std::nullopt;
  const auto* momentum = values.contains("momentum") ? &options.momentum : nullptr;
  model::set_norm_numbers(options.layers, model::norm_numbers(eps, momentum),
                          model::NormRows::silent);
  if (options.input.rank() == 0) {
    fail<UsageError>("[import] '{}' does not say the shape of a sample; give --input, such as 784",
                     arguments.config);
  }
  return options;
}

Target make_target(const ImportArguments& arguments) {
  Target target;
  if (arguments.into.empty()) {
    target.options = described(arguments);
    set_norm_options(arguments, target.options);
    target.network = model::build_network(target.options, /*seed=*/1);
  } else {
    LoadedRun run = load(arguments.into);
    if (deploy::is_onnx(run.model.file)) {
      fail<UsageError>("[import] '{}' is an ONNX model; give a run folder or a .safetensors file",
                       arguments.into);
    }
    target.options = run.model.options;
    target.recipe = run.model.recipe;
    set_norm_options(arguments, target.options);
    target.network = model::build_network(target.options, /*seed=*/1);
    target.network->load_state_dict(run.model.network->state_dict());
  }
  set_recipe(arguments, target);
  target.network->eval();
  return target;
}

Json report_json(const ImportArguments& arguments, const Target& target,
                 const deploy::LoadReport& report, const std::vector<std::string>& notes) {
  Json mismatched = Json::array();
  for (const auto& one : report.mismatched) {
    mismatched.push_back(
        {{"name", one.name}, {"expected", to_json(one.expected)}, {"got", to_json(one.got)}});
  }
  Json json{{"weights", arguments.weights},
            {"file", arguments.output},
            {"net", target.options.net},
            {"loaded", report.loaded},
            {"missing", report.missing},
            {"unexpected", report.unexpected},
            {"mismatched", mismatched},
            {"absorbed", report.absorbed},
            {"notes", notes}};
  put_norms(*target.network, json);
  return json;
}

std::string report_text(const ImportArguments& arguments, const Target& target,
                        const deploy::LoadReport& report, const std::vector<std::string>& notes) {
  Table table({{"", Table::Align::left}, {"", Table::Align::left}});
  table.add({"network", target.options.net});
  table.add({"weights", arguments.weights});
  const auto loaded = static_cast<std::int64_t>(report.loaded.size());
  table.add({"loaded", fmt::format("{} tensor{}", grouped(loaded), loaded == 1 ? "" : "s")});
  for (const std::string& name : report.missing) table.add({"missing", name});
  for (const std::string& name : report.unexpected) table.add({"unexpected", name});
  for (const auto& one : report.mismatched) {
    table.add({"mismatched",
               fmt::format("{}: {}, expected {}", one.name, one.got.str(), one.expected.str())});
  }
  for (const std::string& note : notes) table.add({"note", note});
  const std::string norms = norms_text(*target.network);
  table.add({"batch norm", norms == "none" ? norms : norms + ", which the file does not say"});
  std::string text = table.str();
  if (!arguments.output.empty()) {
    text += fmt::format("\nnext:  evenkeel eval {} --data SPEC\n", arguments.output);
  }
  return text;
}

void match_in_order(const ImportArguments& arguments, nn::Module& network,
                    deploy::ReadState& state) {
  if (arguments.weights.ends_with(".safetensors")) {
    fail<UsageError>(
        "[import] a .safetensors file does not keep the order of its tensors; leave --match out");
  }
  try {
    state.tensors = deploy::named_in_order(network, state.tensors);
  } catch (const Error& error) {
    fail<Error>("{} (in '{}')", error.what(), arguments.weights);
  }
  state.notes.emplace_back("matched in order: names are the network's own");
}

[[noreturn]] void refuse(const ImportArguments& arguments, const deploy::LoadReport& report,
                         std::size_t tensors) {
  if (arguments.partial) {
    fail<Error>("[import] nothing of '{}' fits the network; leave -o out to see the names",
                arguments.weights);
  }
  fail<Error>(
      "[import] '{}' does not fit the network: {} of {} tensors fit, {}; leave -o out to see all "
      "of them, give --partial to load what fits, or --match order where only names differ",
      arguments.weights, report.loaded.size() + report.absorbed.size(), tensors, report.faults());
}

int run_import(const ImportArguments& arguments) {
  check(arguments);
  deploy::ReadState state = deploy::read_state_dict(arguments.weights, {.dict = arguments.dict});
  Target target = make_target(arguments);
  if (arguments.match == "order") match_in_order(arguments, *target.network, state);
  const deploy::LoadReport report = deploy::match_by_name(*target.network, state.tensors);
  // Without an output the report is what is wanted, whatever it says.
  const bool fits = arguments.partial ? !report.loaded.empty() : report.fits();
  if (!arguments.output.empty()) {
    if (!fits) refuse(arguments, report, state.tensors.size());
    deploy::load_by_name(*target.network, state.tensors, !arguments.partial);
    const std::string source = std::filesystem::path(arguments.weights).filename().string();
    model::save_network(arguments.output, *target.network, target.options, target.recipe,
                        {{"imported", source}});
  }
  std::vector<std::string> notes = state.notes;
  notes.insert(notes.end(), report.notes.begin(), report.notes.end());
  if (arguments.json) {
    print_json(report_json(arguments, target, report, notes));
  } else {
    print(report_text(arguments, target, report, notes));
  }
  return fits ? 0 : kDoesNotFit;
}

void add_network_options(CLI::App& app, ImportArguments& arguments) {
  const auto add = [&app](const char* flag, auto& place, const char* help, const char* text) {
    app.add_option(flag, place, help)->option_text(text)->group("Network");
  };
  add("--into", arguments.into, "a run folder or file whose network takes the weights", "RUN");
  add("--net", arguments.net, "or a network by name, as of train (mlp)", "NAME");
  add("--config", arguments.config, "or a TOML file that describes or lists it", "FILE");
  add_input(app, arguments.input)->group("Network");
  add("--classes", arguments.classes, "outputs (10)", "N");
  add("--norm", arguments.norm, "as of train (batch)", "NAME");
  add("--placement", arguments.placement, "norm before or after the activation (before)", "NAME");
  add("--activation", arguments.activation, "in place of ReLU", "NAME");
  add_inputs(app, arguments.inputs, "Network");
}

void add_norm_options(CLI::App& app, ImportArguments& arguments) {
  const auto add = [&app](const char* flag, auto& place, const char* help, const char* text) {
    app.add_option(flag, place, help)->option_text(text)->group("Batch norm, which no file says");
  };
  app.add_option("--from", arguments.from,
                 "eps and momentum as usual in torch (1e-5, 0.1) or keras (1e-3, 0.99 of the old)")
      ->check(CLI::IsMember({"torch", "keras"}))
      ->option_text("NAME")
      ->group("Batch norm, which no file says");
  add("--eps", arguments.eps, "epsilon", "X");
  add("--momentum", arguments.momentum, "weight of the new value", "X");
  add("--decay", arguments.decay, "weight of the old value: 1 - momentum", "X");
}

}  // namespace

Action define_import(CLI::App& app) {
  auto arguments = std::make_shared<ImportArguments>();
  app.add_option("WEIGHTS", arguments->weights,
                 "a .safetensors file, or one of torch.save: .pt, .pth, .bin, .ckpt")
      ->required()
      ->option_text(" ");
  app.add_option("-o,--output", arguments->output,
                 "the .safetensors file to write (none: only the report)")
      ->option_text("FILE");
  app.add_option("--dict", arguments->dict, "the dict of a checkpoint that holds the network")
      ->option_text("NAME");
  app.add_option("--match", arguments->match,
                 "name, or order: where layers have other names but the same order (name)")
      ->check(CLI::IsMember({"name", "order"}))
      ->option_text("HOW");
  app.add_flag("--partial", arguments->partial, "load what fits and leave the rest as it is");
  add_network_options(app, *arguments);
  add_norm_options(app, *arguments);
  add_json(app, arguments->json);
  app.footer(
      "Tensors are matched by name, PyTorch's dotted paths; eval, predict and inspect\n"
      "take the file that is written. Nothing in a file is ever executed. --from, --eps,\n"
      "--momentum and --decay hold for listed layers too, whatever these say.\n\n"
      "Exit code: 0 it fits (with --partial, something of it), 1 it does not.\n\n"
      "Examples:\n"
      "  evenkeel import resnet20.pt --net resnet20 --input 3,32,32\n"
      "  evenkeel import resnet20.pt --net resnet20 --input 3,32,32 -o r20.safetensors\n"
      "  evenkeel import torchs.pt --net resnet20 --input 3,32,32 --match order\n"
      "  evenkeel import weights.safetensors --into runs/mnist -o new.safetensors\n"
      "  evenkeel import k.safetensors --from keras --config net.toml --partial");
  return [arguments] { return run_import(*arguments); };
}

}  // namespace evenkeel::app
