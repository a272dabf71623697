// Named networks, and networks from config files.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <evenkeel/model/config.h>
#include <evenkeel/nn/module.h>

namespace evenkeel::model {

/// Where a normalization stands relative to the activation, or only at the network's input.
enum class Placement : std::uint8_t { before, after, input };

/// What a network is built from. The keys of config files and the flags have the same names.
struct NetworkOptions {
  std::string net = "mlp";     ///< a name of networks(), or "config" for a layer list
  std::string norm = "batch";  ///< a word of norm_kinds(), such as "group:8" or "none"
  Placement placement = Placement::before;
  std::string activation = "auto";  ///< in place of ReLU; see parse_activation()
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< PyTorch's convention; empty: cumulative average
  double dropout = 0.0;                  ///< after each hidden block of the networks that have it
  bool weight_standardization = false;   ///< of the named networks' convolutions
  Shape input;                           ///< of one sample, e.g. [1, 28, 28]
  std::int64_t classes = 10;
  std::vector<LayerSpec> layers;  ///< for "config"
};

enum class NetworkInput : std::uint8_t {
  any,        ///< [N, ...], flattened
  images,     ///< [N, C, H, W], better channels last
  sequences,  ///< [N, C, T], or [N, C, H, W] cut into patches; better channels last
};

struct NetworkInfo {
  std::string name, help;
  NetworkInput input;
  std::string usual_norm = "batch";  ///< what the norm "auto" of the settings means
};
/// The table of named networks.
const std::vector<NetworkInfo>& networks();

/// Builds and checks the network (its output must be [N, classes]); parameters are drawn from
/// `seed`. Throws UsageError for an unknown name (with the nearest one), ShapeError naming the
/// layer that does not fit.
std::unique_ptr<nn::Module> build_network(const NetworkOptions& options, std::uint64_t seed);
/// The layer list from which build_network() makes a network of the same structure and the same
/// names. Throws UsageError for a network that no list describes: with a Graph, or not a
/// Sequential.
std::vector<LayerSpec> layer_list(nn::Module& network);

/// Which rows of a list set_norm_numbers() changes.
enum class NormRows : std::uint8_t {
  all,
  silent,  ///< those that do not say the number themselves
};
/// What a normalization's row would say: "eps" unless that is empty; unless the pointer is null
/// "momentum" or, where there is none, "cumulative".
Options norm_numbers(std::optional<double> eps, const std::optional<double>* momentum);
/// Gives the numbers to the normalizations of a list, each what it has an option for.
void set_norm_numbers(std::vector<LayerSpec>& layers, const Options& numbers, NormRows rows);

/// Whether inputs are better given channels last.
bool prefers_channels_last(const NetworkOptions& options);

/// NetworkOptions from config values (keys net, norm, placement, activation, eps, momentum,
/// dropout, weight_standardization, input, classes) and back.
NetworkOptions network_options(const Config& config);
void put_network_options(const NetworkOptions& options, Config& config);

}  // namespace evenkeel::model
