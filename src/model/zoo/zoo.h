// The named networks: one row and one file per family.
#pragma once

#include <memory>
#include <vector>

#include <evenkeel/model/network.h>
#include <evenkeel/nn/layers/sequential.h>

namespace evenkeel::model {

/// How the weights before the activations are drawn. The last linear layer keeps the layer's own
/// initialization: its outputs are compared, not rectified.
enum class Init : std::uint8_t {
  kaiming_fan_in,   ///< He et al. 2015, for ReLU
  kaiming_fan_out,  ///< the same for the backward pass, as residual networks do
  xavier            ///< Glorot and Bengio 2010, for sigmoid
};

struct ZooRow {
  NetworkInfo info;
  bool has_dropout;
  Init init;
  /// `options.input` is [C, H, W] where info.spatial.
  nn::Sequential (*build)(const NetworkOptions& options);
};

const std::vector<ZooRow>& zoo();

nn::Sequential build_mlp(const NetworkOptions& options);
nn::Sequential build_paper_mlp(const NetworkOptions& options);
nn::Sequential build_convnet(const NetworkOptions& options);
nn::Sequential build_resnet20(const NetworkOptions& options);
nn::Sequential build_resnet50(const NetworkOptions& options);

/// Networks from a layer list.
nn::Sequential build_layers(const std::vector<LayerSpec>& layers);

}  // namespace evenkeel::model
