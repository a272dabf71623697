#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <fmt/ranges.h>

#include "model/construct.h"
#include "model/network_size.h"
#include "model/zoo/zoo.h"
#include <evenkeel/core/error.h>
#include <evenkeel/model/activation_kinds.h>
#include <evenkeel/model/network.h>
#include <evenkeel/model/norm_kinds.h>
#include <evenkeel/nn/init.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::model {
namespace {

const ZooRow& find_row(const std::string& name) {
  std::vector<std::string> names{"config"};
  for (const ZooRow& row : zoo()) {
    if (row.info.name == name) return row;
    names.push_back(row.info.name);
  }
  const std::string suggestion = did_you_mean(name, names);
  fail<UsageError>("[net] there is no network '{}'{}", name,
                   suggestion.empty()
                       ? fmt::format("; known are {} (a layer list)", fmt::join(names, ", "))
                       : suggestion);
}

void check_options(const NetworkOptions& options) {
  (void)parse_norm(options.norm);
  (void)parse_activation(options.activation);
  if (!(options.eps >= 0) || !std::isfinite(options.eps)) {
    fail<UsageError>("[net] eps must be 0 or more, got {}", options.eps);
  }
  if (options.momentum && !(*options.momentum >= 0 && *options.momentum <= 1)) {
    fail<UsageError>("[net] momentum lies between 0 and 1, got {}; or give cumulative",
                     *options.momentum);
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    fail<UsageError>("[net] dropout lies between 0 and 1 (below it), got {}", options.dropout);
  }
  if (options.classes < 1) {
    fail<UsageError>("[net] classes must be at least 1, got {}", options.classes);
  }
}

void check_input(const ZooRow& row, const NetworkOptions& options) {
  if (options.input.rank() < 1 || options.input.numel() < 1) {
    fail<ShapeError>("[{}] expected samples with at least one value, got shape {}", row.info.name,
                     options.input.str());
  }
  if (row.info.input == NetworkInput::images && options.input.rank() != 3) {
    fail<ShapeError>(
        "[{}] expected images [channels, height, width], got samples of shape {}; use mlp or "
        "paper-mlp",
        row.info.name, options.input.str());
  }
  if (row.info.input == NetworkInput::sequences && options.input.rank() != 2 &&
      options.input.rank() != 3) {
    fail<ShapeError>(
        "[{}] expected sequences [features, steps] or images [channels, height, width], got "
        "samples of shape {}; use mlp or paper-mlp",
        row.info.name, options.input.str());
  }
  if (options.dropout > 0 && !row.has_dropout) {
    fail<UsageError>("[{}] has no dropout; leave it at 0 or use mlp or convnet", row.info.name);
  }
  if (options.activation != "auto" && !row.has_relu) {
    fail<UsageError>("[{}] has no ReLU to take the place of; leave activation at auto, or use mlp",
                     row.info.name);
  }
}

void draw(Tensor& weight, Random& random, Init init, const ActivationChoice& activation) {
  using nn::init::FanMode;
  nn::init::KaimingOptions kaiming{.slope = 0, .nonlinearity = nn::init::Nonlinearity::relu};
  if (activation.kind == ops::ActivationKind::leaky_relu) {
    kaiming.slope = activation.slope;
    kaiming.nonlinearity = nn::init::Nonlinearity::leaky_relu;
  }
  switch (init) {
    case Init::kaiming_fan_in:
      kaiming.mode = FanMode::in;
      return nn::init::kaiming_normal(weight, random, kaiming);
    case Init::kaiming_fan_out:
      kaiming.mode = FanMode::out;
      return nn::init::kaiming_normal(weight, random, kaiming);
    case Init::xavier:
      return nn::init::xavier_normal(weight, random);
  }
}

bool is_linear_map(nn::Module& module) {
  return dynamic_cast<nn::Linear*>(&module) != nullptr ||
         dynamic_cast<nn::Convolution*>(&module) != nullptr;
}

/// Draws the weights in front of activations as `init` says and leaves their biases at zero. All
/// other layers, among them the last linear one, have their own initialization.
void initialize_named(nn::Module& network, std::uint64_t seed, Init init,
                      const ActivationChoice& activation) {
  std::vector<nn::Module*> modules;
  std::size_t last = 0;
  network.visit([&](const std::string&, nn::Module& module) {
    if (is_linear_map(module)) last = modules.size();
    modules.push_back(&module);
  });
  const Random source(seed, mix64(0x6576656e6b65656cu));  // "evenkeel": a stream of its own
  for (std::size_t i = 0; i < modules.size(); ++i) {
    Random random = source.fork(i);
    if (i != last && is_linear_map(*modules[i])) {
      draw(modules[i]->parameters().front().parameter->value, random, init, activation);
    } else {
      modules[i]->reset_parameters(random);
    }
  }
}

Shape batch_of(const Shape& sample) {
  std::vector<std::int64_t> dims{2};
  dims.insert(dims.end(), sample.dims().begin(), sample.dims().end());
  return Shape(std::span<const std::int64_t>(dims));
}

void check_output(const nn::Module& network, const NetworkOptions& options) {
  const Shape output = network.output_shape(batch_of(options.input));
  if (output != Shape{2, options.classes}) {
    fail<ShapeError>(
        "[net] the network turns samples of shape {} into {}, but there are {} classes; let its "
        "last layer give {} values",
        options.input.str(), output.drop(1).str(), options.classes, options.classes);
  }
}

bool has_layer(const std::vector<LayerSpec>& layers, std::span<const std::string_view> types) {
  return std::ranges::any_of(layers, [&](const LayerSpec& layer) {
    return std::ranges::find(types, layer.type) != types.end() ||
           std::ranges::any_of(layer.children,
                               [&](const auto& child) { return has_layer(child.second, types); });
  });
}

}  // namespace

std::unique_ptr<nn::Module> construct_network(const NetworkOptions& options) {
  check_options(options);
  check_size(options);
  std::unique_ptr<nn::Module> network;
  if (options.net == "config") {
    if (options.layers.empty()) {
      fail<UsageError>("[net] net = \"config\" needs layers: write [[layer]] sections");
    }
    if (options.activation != "auto") {
      fail<UsageError>(
          "[net] activation is of named networks; in a list, write layers such as LeakyReLU");
    }
    network = nn::to_owned(build_layers(options.layers));
  } else {
    const ZooRow& row = find_row(options.net);
    check_input(row, options);
    network = nn::to_owned(row.build(options));
  }
  check_output(*network, options);
  return network;
}

std::unique_ptr<nn::Module> build_network(const NetworkOptions& options, std::uint64_t seed) {
  auto network = construct_network(options);
  if (options.net == "config") {
    network->initialize(seed);
  } else {
    initialize_named(*network, seed, find_row(options.net).init,
                     parse_activation(options.activation));
  }
  return network;
}

bool prefers_channels_last(const NetworkOptions& options) {
  constexpr std::array<std::string_view, 1> kImages{"Conv2d"}, kVolumes{"Conv3d"};
  constexpr std::array<std::string_view, 4> kSequences{"LSTM", "GRU", "MultiheadAttention",
                                                       "EncoderLayer"};
  const int rank = options.input.rank();
  if (options.net != "config") {
    return find_row(options.net).info.input != NetworkInput::any && rank > 1;
  }
  return (rank == 3 && has_layer(options.layers, kImages)) ||
         (rank == 4 && has_layer(options.layers, kVolumes)) ||
         (rank == 2 && has_layer(options.layers, kSequences));
}

}  // namespace evenkeel::model
