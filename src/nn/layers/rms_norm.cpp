#include "nn/layers/rows.h"
#include "nn/layers/trailing_row.h"
#include <evenkeel/nn/layers/rms_norm.h>

namespace evenkeel::nn {

RMSNorm::RMSNorm(Shape normalized_shape, RMSNormOptions options)
    : Cloneable("RMSNorm", normalized_shape,
                Settings{norm::Centre::zero, options.eps, options.elementwise_affine, false}) {}

Options RMSNorm::options() const {
  Options result{{"normalized_shape", list_of(normalized_shape())},
                 {"elementwise_affine", settings().weight}};
  if (settings().eps) result.set("eps", *settings().eps);
  return result;
}

LayerRow rms_norm_row() {
  LayerRow row;
  row.name = "RMSNorm";
  row.help =
      "division by the root mean square over the last dimensions: normalized_shape, eps, "
      "elementwise_affine";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    RMSNormOptions settings;
    if (options.contains("eps")) settings.eps = options.get("eps", 1e-5);
    (void)options.get("eps", 1e-5);  // known, given or not
    settings.elementwise_affine = options.get("elementwise_affine", true);
    return std::make_unique<RMSNorm>(require_shape(options, "RMSNorm"), settings);
  };
  row.samples = trailing_samples({{}, {{"eps", 1e-2}}, {{"elementwise_affine", false}}});
  return row;
}

}  // namespace evenkeel::nn
