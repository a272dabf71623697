#include "nn/layers/rows.h"
#include "nn/layers/trailing_row.h"
#include <evenkeel/nn/layers/layer_norm.h>

namespace evenkeel::nn {

LayerNorm::LayerNorm(Shape normalized_shape, LayerNormOptions options)
    : Cloneable("LayerNorm", normalized_shape,
                Settings{norm::Centre::mean, options.eps, options.elementwise_affine,
                         options.elementwise_affine && options.bias}) {}

Options LayerNorm::options() const {
  return {{"normalized_shape", list_of(normalized_shape())},
          {"eps", *settings().eps},
          {"elementwise_affine", settings().weight},
          {"bias", settings().bias}};
}

LayerRow layer_norm_row() {
  LayerRow row;
  row.name = "LayerNorm";
  row.help =
      "normalization over the last dimensions: normalized_shape, eps, elementwise_affine, bias";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    LayerNormOptions settings;
    settings.eps = options.get("eps", settings.eps);
    settings.elementwise_affine = options.get("elementwise_affine", true);
    settings.bias = options.get("bias", true);
    return std::make_unique<LayerNorm>(require_shape(options, "LayerNorm"), settings);
  };
  row.samples =
      trailing_samples({{}, {{"eps", 1e-2}, {"bias", false}}, {{"elementwise_affine", false}}});
  return row;
}

}  // namespace evenkeel::nn
