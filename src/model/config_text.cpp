#include <fmt/ranges.h>

#include "model/toml_text.h"
#include <evenkeel/model/config.h>

namespace evenkeel::model {
namespace {

/// {type = "Linear", in_features = 784, …}: on one line, as TOML 1.0 wants it.
std::string inline_layer(const LayerSpec& layer) {
  std::vector<std::string> entries{"type = " + toml_string(layer.type)};
  for (const auto& [key, value] : layer.options.values()) {
    entries.push_back(toml_key(key) + " = " + toml_value(value));
  }
  for (const auto& [name, children] : layer.children) {
    std::vector<std::string> items;
    for (const LayerSpec& child : children) items.push_back(inline_layer(child));
    entries.push_back(fmt::format("{} = [{}]", toml_key(name), fmt::join(items, ", ")));
  }
  return fmt::format("{{{}}}", fmt::join(entries, ", "));
}

std::string layer_section(const LayerSpec& layer) {
  std::string text = "\n[[layer]]\ntype = " + toml_string(layer.type) + "\n";
  for (const auto& [key, value] : layer.options.values()) {
    text += toml_key(key) + " = " + toml_value(value) + "\n";
  }
  for (const auto& [name, children] : layer.children) {
    text += toml_key(name) + " = [\n";
    for (const LayerSpec& child : children) text += "  " + inline_layer(child) + ",\n";
    text += "]\n";
  }
  return text;
}

}  // namespace

std::string to_toml(const Config& config) {
  std::string text;
  for (const auto& [key, value] : config.values.values()) {
    text += toml_key(key) + " = " + toml_value(value) + "\n";
  }
  for (const LayerSpec& layer : config.layers) text += layer_section(layer);
  return text;
}

}  // namespace evenkeel::model
