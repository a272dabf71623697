#include "nn/layers/recurrent_row.h"

namespace evenkeel::nn {

RecurrentSizes read_recurrent_sizes(const Options& options, std::string_view type) {
  const std::int64_t input = options.require_int("input_size", type);
  return {input, options.require_int("hidden_size", type)};
}

RecurrentOptions read_recurrent_options(const Options& options) {
  RecurrentOptions result;
  result.num_layers = options.get("num_layers", result.num_layers);
  result.bidirectional = options.get("bidirectional", result.bidirectional);
  result.bias = options.get("bias", result.bias);
  result.dropout = options.get("dropout", result.dropout);
  return result;
}

std::vector<LayerSample> recurrent_samples() {
  const std::int64_t two = 2;
  const Options sizes{{"input_size", std::int64_t{3}}, {"hidden_size", std::int64_t{4}}};
  const std::vector<Options> variants{
      {},
      {{"bidirectional", true}},
      {{"num_layers", two}, {"bias", false}},
      {{"num_layers", two}, {"bidirectional", true}, {"dropout", 0.4}}};
  std::vector<LayerSample> samples;
  for (const Options& variant : variants) {
    Options options = sizes;
    for (const auto& [key, value] : variant.values()) options.set(key, value);
    samples.push_back({options, {3, 3, 4}});
  }
  return samples;
}

}  // namespace evenkeel::nn
