// What the rows of recurrent layers in the layer table share.
#pragma once

#include <vector>

#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/recurrent.h>

namespace evenkeel::nn {

inline constexpr std::string_view kRecurrentKeys =
    "input_size, hidden_size, num_layers, bidirectional, bias, dropout";

struct RecurrentSizes {
  std::int64_t input, hidden;
};
RecurrentSizes read_recurrent_sizes(const Options& options, std::string_view type);
RecurrentOptions read_recurrent_options(const Options& options);

/// One and two layers, one and two directions, with and without bias and dropout.
std::vector<LayerSample> recurrent_samples();

}  // namespace evenkeel::nn
