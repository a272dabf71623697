// NetworkOptions as config values.

#include <array>
#include <utility>

#include <evenkeel/core/error.h>
#include <evenkeel/model/network.h>

namespace evenkeel::model {
namespace {

constexpr std::array<std::pair<std::string_view, Placement>, 3> kPlacements{
    {{"before", Placement::before}, {"after", Placement::after}, {"input", Placement::input}}};

Placement placement_of(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, placement] : kPlacements) {
    if (name == known) return placement;
    names.emplace_back(known);
  }
  fail<UsageError>("[config] placement is before, after or input, not '{}'{}", name,
                   did_you_mean(name, names));
}

std::string name_of(Placement wanted) {
  for (const auto& [name, placement] : kPlacements) {
    if (placement == wanted) return std::string(name);
  }
  return {};
}

std::optional<double> momentum_of(const Options& values, std::optional<double> fallback) {
  const auto it = values.values().find("momentum");
  if (it != values.values().end() && std::holds_alternative<std::string>(it->second)) {
    const std::string text = values.get("momentum", std::string());
    if (text != "cumulative") {
      fail<UsageError>("[config] momentum is a number or \"cumulative\", not '{}'", text);
    }
    return std::nullopt;
  }
  return values.get("momentum", fallback.value_or(0.1));
}

/// Sums of a few such numbers fit 63 bits.
void check_extent(std::string_view key, std::int64_t extent) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (extent < 0 || extent > kMost) {
    fail<UsageError>("[config] {} lies from 0 to {}, not {}", key, kMost, extent);
  }
}

}  // namespace

NetworkOptions network_options(const Config& config) {
  const Options& values = config.values;
  NetworkOptions options;
  options.layers = config.layers;
  options.net = values.get("net", std::string(config.layers.empty() ? "mlp" : "config"));
  if (!config.layers.empty() && options.net != "config") {
    fail<UsageError>(
        "[config] the file lists layers, but net = \"{}\"; leave out either the layers or net",
        options.net);
  }
  options.norm = values.get("norm", options.norm);
  options.placement = placement_of(values.get("placement", std::string("before")));
  options.activation = values.get("activation", options.activation);
  options.eps = values.get("eps", options.eps);
  options.momentum = momentum_of(values, options.momentum);
  options.dropout = values.get("dropout", options.dropout);
  options.weight_standardization =
      values.get("weight_standardization", options.weight_standardization);
  const auto input = values.get("input", std::vector<std::int64_t>{});
  if (input.size() >= static_cast<std::size_t>(Shape::kMaxRank)) {
    fail<UsageError>("[config] input has {} extents, at most {} are possible", input.size(),
                     Shape::kMaxRank - 1);
  }
  for (const std::int64_t extent : input) check_extent("input", extent);
  if (!input.empty()) options.input = Shape(std::span<const std::int64_t>(input));
  options.classes = values.get("classes", options.classes);
  check_extent("classes", options.classes);
  return options;
}

void put_network_options(const NetworkOptions& options, Config& config) {
  Options& values = config.values;
  values.set("net", options.net);
  values.set("norm", options.norm);
  values.set("placement", name_of(options.placement));
  if (options.activation != "auto") values.set("activation", options.activation);
  values.set("eps", options.eps);
  if (options.momentum) {
    values.set("momentum", *options.momentum);
  } else {
    values.set("momentum", std::string("cumulative"));
  }
  values.set("dropout", options.dropout);
  if (options.weight_standardization) values.set("weight_standardization", true);
  const auto dims = options.input.dims();
  values.set("input", std::vector<std::int64_t>(dims.begin(), dims.end()));
  values.set("classes", options.classes);
  config.layers = options.layers;
}

}  // namespace evenkeel::model
