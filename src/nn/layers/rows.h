// The rows of the layer table; each is defined beside its layer.
#pragma once

#include <evenkeel/nn/layer_table.h>

namespace evenkeel::nn {

LayerRow linear_row();
LayerRow conv1d_row();
LayerRow conv2d_row();
LayerRow conv3d_row();
LayerRow max_pool1d_row();
LayerRow max_pool2d_row();
LayerRow max_pool3d_row();
LayerRow avg_pool1d_row();
LayerRow avg_pool2d_row();
LayerRow avg_pool3d_row();
LayerRow global_avg_pool_row();
LayerRow batch_norm1d_row();
LayerRow batch_norm2d_row();
LayerRow batch_norm3d_row();
LayerRow batch_renorm1d_row();
LayerRow batch_renorm2d_row();
LayerRow batch_renorm3d_row();
LayerRow layer_norm_row();
LayerRow rms_norm_row();
LayerRow group_norm_row();
LayerRow instance_norm1d_row();
LayerRow instance_norm2d_row();
LayerRow instance_norm3d_row();
LayerRow relu_row();
LayerRow leaky_relu_row();
LayerRow sigmoid_row();
LayerRow tanh_row();
LayerRow dropout_row();
LayerRow flatten_row();
LayerRow identity_row();
LayerRow valid_steps_row();
LayerRow lstm_row();
LayerRow gru_row();
LayerRow mean_over_time_row();
LayerRow last_step_row();
LayerRow multihead_attention_row();
LayerRow encoder_layer_row();
LayerRow positional_encoding_row();
LayerRow gelu_row();
LayerRow conv_transpose1d_row();
LayerRow conv_transpose2d_row();
LayerRow conv_transpose3d_row();
LayerRow clip_row();
LayerRow power_row();
LayerRow erf_row();
LayerRow softmax_row();
LayerRow scale_row();
LayerRow shift_row();
LayerRow pad_row();
LayerRow slice_row();
LayerRow permute_row();
LayerRow reshape_row();
LayerRow mean_row();

}  // namespace evenkeel::nn
