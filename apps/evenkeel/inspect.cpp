// evenkeel inspect

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include <fmt/format.h>

#include "command.h"
#include "loaded_run.h"
#include "shared_options.h"
#include "tensor_list.h"
#include "text.h"
#include "value_range.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/describe.h>
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::app {
namespace {

struct InspectArguments {
  std::string path;
  std::vector<std::int64_t> input;
  bool json = false;
};

/// What a batch norm layer has learned and gathered.
struct NormState {
  ValueRange gamma, beta, mean, var;
  std::int64_t batches = 0;
  bool affine = false, tracked = false;
};

NormState state_of(nn::BatchNorm& layer) {
  NormState state;
  const nn::StateDict tensors = layer.state_dict();
  for (const auto& [name, tensor] : tensors) {
    if (name == "weight") state.gamma = range_of(tensor);
    if (name == "bias") state.beta = range_of(tensor);
    if (name == "running_mean") state.mean = range_of(tensor);
    if (name == "running_var") state.var = range_of(tensor);
    if (name == "num_batches_tracked") state.batches = static_cast<std::int64_t>(tensor.item());
  }
  state.affine = layer.settings().affine;
  state.tracked = layer.settings().track_running_stats;
  return state;
}

std::map<std::string, NormState> norm_states(nn::Module& network) {
  std::map<std::string, NormState> states;
  network.visit([&](const std::string& path, nn::Module& module) {
    if (auto* layer = dynamic_cast<nn::BatchNorm*>(&module)) states[path] = state_of(*layer);
  });
  return states;
}

Shape batch_of(std::int64_t count, const Shape& sample) {
  std::vector<std::int64_t> dims{count};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

/// "Sequential" repeats what its children say.
bool is_listed(const nn::LayerDescription& layer) {
  return !layer.path.empty() && !(layer.has_children && layer.type == "Sequential");
}

/// Batch norms say what they are fused with, the other layers only that they are.
std::string layer_table(const std::vector<nn::LayerDescription>& layers,
                        const std::map<std::string, NormState>& states) {
  const bool modes = std::ranges::any_of(layers, [](const auto& one) { return !one.mode.empty(); });
  Table table({{"layer"},
               {"type"},
               {"output"},
               {"parameters", Table::Align::right},
               {"fused"},
               {modes ? "mode" : ""}});
  for (const nn::LayerDescription& layer : layers) {
    if (!is_listed(layer)) continue;
    const std::string count =
        layer.has_children || layer.parameters == 0 ? "" : grouped(layer.parameters);
    const bool norm = states.count(layer.path) != 0;
    const std::string note = norm || layer.note.empty() ? layer.note : "yes";
    table.add({layer.path, layer.type, layer.output.drop(1).str(), count, note, layer.mode});
  }
  return table.str();
}

/// The number of batches that all layers have tracked, where it is one.
std::optional<std::int64_t> common_batches(const std::map<std::string, NormState>& states) {
  if (states.empty()) return std::nullopt;
  const std::int64_t batches = states.begin()->second.batches;
  const bool common = std::ranges::all_of(states, [&](const auto& entry) {
    return entry.second.tracked && entry.second.batches == batches;
  });
  return common ? std::optional(batches) : std::nullopt;
}

std::string norm_table(const std::vector<nn::LayerDescription>& layers,
                       const std::map<std::string, NormState>& states, std::string_view between) {
  using Align = Table::Align;
  const bool column = !common_batches(states);
  Table table({{"batch norm"},
               {"γ"},
               {"β"},
               {"mean"},
               {"variance"},
               {column ? "batches" : "", Align::right}});
  for (const nn::LayerDescription& layer : layers) {
    const auto it = states.find(layer.path);
    if (it == states.end()) continue;
    const NormState& state = it->second;
    const auto range = [&](bool shown, const ValueRange& values) {
      return shown ? text_of(values, between) : "-";
    };
    const std::string batches = state.tracked ? grouped(state.batches) : "-";
    table.add({layer.path, range(state.affine, state.gamma), range(state.affine, state.beta),
               range(state.tracked, state.mean), range(state.tracked, state.var),
               column ? batches : ""});
  }
  return table.empty() ? "" : "\n" + table.str();
}

std::size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, width_of(line));
  return widest;
}

/// As wide as reads well, where that fits a terminal.
std::string norm_table(const std::vector<nn::LayerDescription>& layers,
                       const std::map<std::string, NormState>& states) {
  constexpr std::size_t kWidth = 80;
  const std::string text = norm_table(layers, states, " .. ");
  return widest_line(text) <= kWidth ? text : norm_table(layers, states, "..");
}

std::string totals(std::int64_t parameters, const std::map<std::string, NormState>& states,
                   int fused_layers) {
  std::string text =
      fmt::format("\n{} parameters, {} batch norm layers, {} layers fused into them\n",
                  grouped(parameters), states.size(), fused_layers);
  if (const auto batches = common_batches(states)) {
    text += fmt::format("running mean and variance of {} batch{}\n", grouped(*batches),
                        *batches == 1 ? "" : "es");
  }
  return text;
}

Json layers_json(const std::vector<nn::LayerDescription>& layers,
                 const std::map<std::string, NormState>& states) {
  Json list = Json::array();
  for (const nn::LayerDescription& layer : layers) {
    Json entry{{"path", layer.path},
               {"type", layer.type},
               {"options", layer.options},
               {"output", to_json(layer.output.drop(1))},
               {"parameters", layer.parameters},
               {"fused", layer.note},
               {"mode", layer.mode}};
    if (const auto it = states.find(layer.path); it != states.end()) {
      const NormState& state = it->second;
      if (state.affine) {
        entry["gamma"] = to_json(state.gamma);
        entry["beta"] = to_json(state.beta);
      }
      if (state.tracked) {
        entry["running_mean"] = to_json(state.mean);
        entry["running_var"] = to_json(state.var);
        entry["batches_tracked"] = state.batches;
      }
    }
    list.push_back(std::move(entry));
  }
  return list;
}

std::string heading(const LoadedRun& run) {
  const model::NetworkOptions& options = run.model.options;
  std::string text = fmt::format("{} from {}", options.net, run.origin());
  if (run.settings) text += fmt::format("\ntrained on {}", run.settings->data);
  return text + fmt::format("\ninput {}, {} classes\n\n", options.input.str(), options.classes);
}

int inspect_network(const InspectArguments& arguments) {
  LoadedRun run = load(arguments.path, arguments.input);
  nn::Module& network = *run.model.network;
  const auto layers =
      nn::describe_layers(network, batch_of(run.batch.value_or(1), run.model.options.input));
  const auto states = norm_states(network);
  const std::int64_t parameters = network.parameter_count();
  if (arguments.json) {
    Json json{{"path", arguments.path},
              {"file", run.model.file.string()},
              {"net", run.model.options.net},
              {"input", to_json(run.model.options.input)},
              {"classes", run.model.options.classes},
              {"parameters", parameters},
              {"fused_layers", run.fused_layers}};
    for (const auto& [key, value] : run.model.metadata) json["metadata"][key] = value;
    json["layers"] = layers_json(layers, states);
    print_json(json);
    return 0;
  }
  print(heading(run) + layer_table(layers, states) + norm_table(layers, states) +
        totals(parameters, states, run.fused_layers));
  return 0;
}

int run_inspect(const InspectArguments& arguments) {
  if (holds_only_tensors(arguments.path)) return list_tensors(arguments.path, arguments.json);
  return inspect_network(arguments);
}

}  // namespace

Action define_inspect(CLI::App& app) {
  auto arguments = std::make_shared<InspectArguments>();
  app.add_option("RUN|FILE", arguments->path,
                 "a run folder, a .safetensors file, an .onnx model, or tensors: .npy, .npz, .pt")
      ->required()
      ->option_text(" ");
  add_open_input(app, arguments->input);
  add_json(app, arguments->json);
  app.footer(
      "Of a network: layers, parameters, what was fused, and for each batch norm the\n"
      "smallest and largest γ, β, running mean and running variance, and the batches\n"
      "that went into those. Of another file: its tensors.\n\n"
      "Examples:\n"
      "  evenkeel inspect runs/mlp-glyphs\n"
      "  evenkeel inspect runs/mlp-glyphs/final.safetensors --json\n"
      "  evenkeel inspect weights.npz\n"
      "  evenkeel inspect resnet20.pt");
  return [arguments] { return run_inspect(*arguments); };
}

}  // namespace evenkeel::app
