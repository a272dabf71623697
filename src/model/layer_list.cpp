// Networks from the layer list of a config file.

#include <algorithm>
#include <cctype>

#include "model/zoo/zoo.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/concat.h>
#include <evenkeel/nn/layers/graph.h>
#include <evenkeel/nn/layers/residual.h>

namespace evenkeel::model {
namespace {

/// "layer 3 (Residual), body, layer 0 (Linear)": where in the list a fault lies.
std::string place(const std::string& within, std::size_t index, const LayerSpec& spec) {
  return fmt::format("{}layer {} ({})", within.empty() ? "" : within + ", ", index, spec.type);
}

nn::Sequential build_list(const std::vector<LayerSpec>& layers, const std::string& within);

const std::vector<LayerSpec>* find_child(const LayerSpec& spec, const std::string& name) {
  for (const auto& [key, children] : spec.children) {
    if (key == name) return &children;
  }
  return nullptr;
}

void reject_other_children(const LayerSpec& spec, const std::vector<std::string>& known,
                           const std::string& where) {
  for (const auto& [key, children] : spec.children) {
    if (std::ranges::find(known, key) != known.end()) continue;
    fail<UsageError>("[{}] takes no layers '{}'{}", where, key, did_you_mean(key, known));
  }
}

const std::vector<LayerSpec>& require_body(const LayerSpec& spec, const std::string& where) {
  const auto* body = find_child(spec, "body");
  if (body == nullptr) {
    fail<UsageError>("[{}] needs layers: body = [{{type = \"Linear\", ...}}, ...]", where);
  }
  return *body;
}

std::unique_ptr<nn::Module> build_sequential(const LayerSpec& spec, const std::string& where) {
  reject_other_children(spec, {"body"}, where);
  spec.options.reject_unknown(where);
  return nn::to_owned(build_list(require_body(spec, where), where));
}

std::unique_ptr<nn::Module> build_residual(const LayerSpec& spec, const std::string& where) {
  using Kind = ops::ActivationKind;
  reject_other_children(spec, {"body", "shortcut"}, where);
  const std::string name = spec.options.get("activation", std::string("none"));
  const double slope = spec.options.get("negative_slope", 0.01);
  spec.options.reject_unknown(where);
  std::optional<Kind> activation;
  for (const Kind kind : {Kind::relu, Kind::leaky_relu, Kind::sigmoid, Kind::tanh}) {
    if (name == nn::name_of(kind)) activation = kind;
  }
  if (!activation && name != "none") {
    fail<UsageError>("[{}] activation is none, relu, leaky_relu, sigmoid or tanh, not '{}'", where,
                     name);
  }
  auto body = nn::to_owned(build_list(require_body(spec, where), where + ", body"));
  std::unique_ptr<nn::Module> shortcut;
  if (const auto* list = find_child(spec, "shortcut"); list != nullptr && !list->empty()) {
    shortcut = nn::to_owned(build_list(*list, where + ", shortcut"));
  }
  return std::make_unique<nn::Residual>(std::move(body), std::move(shortcut), activation, slope);
}

std::unique_ptr<nn::Module> build_concat(const LayerSpec& spec, const std::string& where) {
  spec.options.reject_unknown(where);
  auto concat = std::make_unique<nn::Concat>();
  for (std::size_t i = 0; i < spec.children.size(); ++i) {
    const auto& [name, branch] = spec.children[i];
    if (name != fmt::format("{}", i)) {
      fail<UsageError>("[{}] calls its branches 0, 1, ... in order, not '{}'", where, name);
    }
    concat->add(nn::to_owned(build_list(branch, where + ", branch " + name)));
  }
  if (concat->size() == 0) {
    fail<UsageError>("[{}] needs branches: 0 = [{{type = ...}}], 1 = [...]", where);
  }
  return concat;
}

std::unique_ptr<nn::Module> build_leaf(const LayerSpec& spec, const std::string& where) {
  if (!spec.children.empty()) {
    fail<UsageError>("[{}] takes no layers '{}'; Sequential, Residual and Concat do", where,
                     spec.children.front().first);
  }
  try {
    return nn::make_layer(spec.type, spec.options);
  } catch (const UsageError& error) {
    // Which layer of the list it is, in front of what the table says.
    fail<UsageError>("[config] {}: {}", where, error.what());
  }
}

nn::Sequential build_list(const std::vector<LayerSpec>& layers, const std::string& within) {
  nn::Sequential net;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerSpec& spec = layers[i];
    const std::string where = place(within, i, spec);
    if (spec.type == "Sequential") {
      net.add(build_sequential(spec, where));
    } else if (spec.type == "Residual") {
      net.add(build_residual(spec, where));
    } else if (spec.type == "Concat") {
      net.add(build_concat(spec, where));
    } else {
      net.add(build_leaf(spec, where));
    }
  }
  return net;
}

std::vector<LayerSpec> specs_of(nn::Module& list);

/// What a branch is: a list, or one layer without tensors, whose names a list around it does not
/// change.
std::vector<LayerSpec> branch_of(nn::Module& branch);

/// A layer, or a container with its lists.
LayerSpec spec_of(nn::Module& layer) {
  LayerSpec spec{std::string(layer.type()), {}, {}};
  if (dynamic_cast<nn::Graph*>(&layer) != nullptr) {
    fail<UsageError>("[net] {} is a graph, which no list of layers describes", layer.label());
  }
  if (dynamic_cast<nn::Sequential*>(&layer) != nullptr) {
    spec.children.emplace_back("body", specs_of(layer));
    return spec;
  }
  spec.options = layer.options();
  const bool branches = dynamic_cast<nn::Residual*>(&layer) != nullptr ||
                        dynamic_cast<nn::Concat*>(&layer) != nullptr;
  for (std::size_t i = 0; branches && i < layer.child_count(); ++i) {
    spec.children.emplace_back(layer.child_name(i), branch_of(layer.child(i)));
  }
  return spec;
}

std::vector<LayerSpec> branch_of(nn::Module& branch) {
  const bool single = dynamic_cast<nn::Sequential*>(&branch) == nullptr &&
                      branch.child_count() == 0 && branch.state_dict().empty();
  return single ? std::vector{spec_of(branch)} : specs_of(branch);
}

std::vector<LayerSpec> specs_of(nn::Module& list) {
  if (dynamic_cast<nn::Sequential*>(&list) == nullptr) {
    fail<UsageError>("[net] {} is no Sequential, and so no list of layers describes it",
                     list.label());
  }
  std::vector<LayerSpec> specs;
  for (std::size_t i = 0; i < list.child_count(); ++i) specs.push_back(spec_of(list.child(i)));
  return specs;
}

}  // namespace

nn::Sequential build_layers(const std::vector<LayerSpec>& layers) { return build_list(layers, ""); }

std::vector<LayerSpec> layer_list(nn::Module& network) { return specs_of(network); }

}  // namespace evenkeel::model
