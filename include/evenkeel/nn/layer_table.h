// Layers by name: how configurations and files build networks, and what the tests walk over.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <evenkeel/core/options.h>
#include <evenkeel/core/shape.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::nn {

/// One example of a layer: what to build it from and an input that fits it.
struct LayerSample {
  Options options;
  Shape input;
};

/// One layer type. `make` reads the keys it knows and may leave others: make_layer refuses those.
struct LayerRow {
  std::string name;
  std::string help;
  std::function<std::unique_ptr<Module>(const Options&)> make;
  std::vector<LayerSample> samples;  ///< each is put through every test of the table; at least one
};

/// All layer types, in the order in which they are listed to people.
std::span<const LayerRow> layer_table();

/// Builds the layer. Throws UsageError for an unknown type or key (naming the nearest one), a
/// missing key or a value out of range.
std::unique_ptr<Module> make_layer(const std::string& type, const Options& options = {});

}  // namespace evenkeel::nn
