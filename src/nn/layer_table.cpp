#include <fmt/ranges.h>

#include "nn/layers/rows.h"
#include <evenkeel/core/error.h>
#include <evenkeel/nn/layer_table.h>

namespace evenkeel::nn {

std::span<const LayerRow> layer_table() {
  // One row per line, in groups of what belongs together.
  // clang-format off
  static const std::vector<LayerRow> table = {
      linear_row(),
      conv1d_row(),
      conv2d_row(),
      conv3d_row(),
      conv_transpose1d_row(),
      conv_transpose2d_row(),
      conv_transpose3d_row(),
      batch_norm1d_row(),
      batch_norm2d_row(),
      batch_norm3d_row(),
      batch_renorm1d_row(),
      batch_renorm2d_row(),
      batch_renorm3d_row(),
      layer_norm_row(),
      rms_norm_row(),
      group_norm_row(),
      instance_norm1d_row(),
      instance_norm2d_row(),
      instance_norm3d_row(),
      relu_row(),
      leaky_relu_row(),
      sigmoid_row(),
      tanh_row(),
      gelu_row(),
      clip_row(),
      power_row(),
      erf_row(),
      softmax_row(),
      scale_row(),
      shift_row(),
      max_pool1d_row(),
      max_pool2d_row(),
      max_pool3d_row(),
      avg_pool1d_row(),
      avg_pool2d_row(),
      avg_pool3d_row(),
      global_avg_pool_row(),
      dropout_row(),
      flatten_row(),
      pad_row(),
      slice_row(),
      permute_row(),
      reshape_row(),
      mean_row(),
      identity_row(),
      valid_steps_row(),
      lstm_row(),
      gru_row(),
      mean_over_time_row(),
      last_step_row(),
      multihead_attention_row(),
      encoder_layer_row(),
      positional_encoding_row(),
  };
  // clang-format on
  return table;
}

std::unique_ptr<Module> make_layer(const std::string& type, const Options& options) {
  std::vector<std::string> names;
  for (const LayerRow& row : layer_table()) {
    if (row.name == type) {
      auto layer = row.make(options);
      options.reject_unknown(type);
      return layer;
    }
    names.push_back(row.name);
  }
  const std::string suggestion = did_you_mean(type, names);
  fail<UsageError>(
      "[layer] there is no layer type '{}'{}", type,
      suggestion.empty() ? fmt::format("; known are {}", fmt::join(names, ", ")) : suggestion);
}

}  // namespace evenkeel::nn
