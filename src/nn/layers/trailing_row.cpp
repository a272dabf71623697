#include "nn/layers/trailing_row.h"

#include <algorithm>

#include <evenkeel/core/error.h>

namespace evenkeel::nn {

std::vector<std::int64_t> list_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

Shape require_shape(const Options& options, std::string_view layer) {
  if (!options.contains("normalized_shape")) {
    fail<UsageError>("[{}] the key 'normalized_shape' is missing: give a list of integers", layer);
  }
  const auto extents = options.get("normalized_shape", std::vector<std::int64_t>{});
  if (extents.size() > static_cast<std::size_t>(Shape::kMaxRank)) {
    fail<UsageError>("[{}] expected a normalized_shape of at most {} dimensions, got {}", layer,
                     Shape::kMaxRank, extents.size());
  }
  if (std::ranges::any_of(extents, [](std::int64_t extent) { return extent < 0; })) {
    fail<UsageError>("[{}] expected a normalized_shape of 0 or more in each dimension, got {}",
                     layer, to_string(OptionValue(extents)));
  }
  return Shape(extents);
}

std::vector<LayerSample> trailing_samples(const std::vector<Options>& variants) {
  struct Form {
    std::vector<std::int64_t> normalized;
    Shape input;
  };
  const std::vector<Form> forms{
      {{5}, {4, 5}}, {{4}, {2, 3, 4}}, {{3, 2, 2}, {2, 3, 2, 2}}, {{3, 2}, {2, 2, 3, 2}}};
  std::vector<LayerSample> samples;
  for (const Form& form : forms) {
    for (Options options : variants) {
      options.set("normalized_shape", form.normalized);
      samples.push_back({options, form.input});
    }
  }
  return samples;
}

}  // namespace evenkeel::nn
