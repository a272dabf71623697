#include "model/network_size.h"

#include "model/layer_size.h"
#include "model/zoo/zoo.h"
#include <evenkeel/core/error.h>

namespace evenkeel::model {
namespace {

constexpr std::uint64_t kMost = std::uint64_t{1} << 31;  // 8 GiB of f32, and as much of gradients

std::uint64_t positive(std::int64_t value) {
  return value > 0 ? static_cast<std::uint64_t>(value) : 0;
}

std::uint64_t of_layers(const std::vector<LayerSpec>& layers) {
  std::uint64_t sum = 0;
  for (const LayerSpec& layer : layers) {
    sum = saturating_sum(sum, least_values(layer));
    for (const auto& [name, children] : layer.children) {
      sum = saturating_sum(sum, of_layers(children));
    }
  }
  return sum;
}

std::uint64_t of_named(const ZooRow& row, const NetworkOptions& options) {
  const std::int64_t inputs =
      row.info.input != NetworkInput::any && options.input.rank() > 0 ? options.input[0]
                                                                      : options.input.numel();
  const std::uint64_t of_inputs = saturating_product(row.weights.per_input, positive(inputs));
  const std::uint64_t of_classes =
      saturating_product(row.weights.per_class, positive(options.classes));
  return saturating_sum(row.weights.fixed, saturating_sum(of_inputs, of_classes));
}

}  // namespace

std::uint64_t least_values(const NetworkOptions& options) {
  if (options.net == "config") return of_layers(options.layers);
  for (const ZooRow& row : zoo()) {
    if (row.info.name == options.net) return of_named(row, options);
  }
  return 0;
}

void check_size(const NetworkOptions& options) {
  const std::uint64_t least = least_values(options);
  if (least > kMost) {
    fail<UsageError>(
        "[net] the network would hold {} values or more, at most {} are possible; make its input, "
        "its classes or its layers smaller",
        least, kMost);
  }
}

}  // namespace evenkeel::model
