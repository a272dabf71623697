// The named networks: one row and one file per family.
#pragma once

#include <cstdint>
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

/// The values of the linear maps without their biases, which every choice of options has.
struct Weights {
  std::uint64_t fixed;
  std::uint64_t per_input;  ///< per channel, or per value of NetworkInput::any
  std::uint64_t per_class;
};

struct ZooRow {
  NetworkInfo info;
  bool has_dropout;
  bool has_relu;  ///< which another activation may take the place of
  Init init;
  Weights weights;
  /// `options.input` is what info.input says.
  nn::Sequential (*build)(const NetworkOptions& options);
};

const std::vector<ZooRow>& zoo();

nn::Sequential build_mlp(const NetworkOptions& options);
nn::Sequential build_paper_mlp(const NetworkOptions& options);
nn::Sequential build_convnet(const NetworkOptions& options);
nn::Sequential build_resnet20(const NetworkOptions& options);
nn::Sequential build_resnet50(const NetworkOptions& options);
nn::Sequential build_preact_resnet20(const NetworkOptions& options);
nn::Sequential build_inception_small(const NetworkOptions& options);
nn::Sequential build_densenet_small(const NetworkOptions& options);
nn::Sequential build_mobilenet_small(const NetworkOptions& options);
nn::Sequential build_encoder_small(const NetworkOptions& options);

/// Networks from a layer list.
nn::Sequential build_layers(const std::vector<LayerSpec>& layers);

}  // namespace evenkeel::model
