// Convolutions.

#include <algorithm>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/pad.h>

namespace evenkeel::deploy {
namespace {

std::vector<std::int64_t> spatial_of(const Shape& shape) {
  const Shape spatial = shape.rank() > 2 ? shape.drop(2) : Shape{};
  return {spatial.dims().begin(), spatial.dims().end()};
}

/// The weight, and the bias where there is one, as what a layer loads.
nn::StateDict state_of(const Importer& importer, const Tensor& weight, std::int64_t outputs) {
  nn::StateDict state{{"weight", weight}};
  if (importer.has(2)) {
    const Tensor bias = importer.constant(2, "bias");
    if (bias.shape() != Shape{outputs}) {
      importer.refuse("its bias has shape {}, expected [{}]", bias.shape().str(), outputs);
    }
    state.emplace_back("bias", bias);
  }
  return state;
}

Tensor weight_of(const Importer& importer, const Shape& input) {
  const Tensor weight = importer.constant(1, "weight");
  const bool real = weight.dtype() == DType::f32 || weight.dtype() == DType::f64;
  if (!real || weight.rank() != input.rank() || weight.numel() == 0) {
    importer.refuse("a weight {} of shape {} does not fit an input {}", name_of(weight.dtype()),
                    weight.shape().str(), input.str());
  }
  return weight;
}

}  // namespace

void build_conv(Importer& importer) {
  Value x = importer.input(0);
  const Tensor weight = weight_of(importer, x.shapes[0]);
  Window window = window_of(importer, x.shapes[0], spatial_of(weight.shape()));
  const std::int64_t groups = importer.attribute("group", std::int64_t{1});
  const std::int64_t outputs = weight.dim(0);
  if (groups < 1 || groups > outputs) importer.refuse("its group is {}", groups);
  if (window.before != window.after) {
    x = importer.apply(nn::Pad(for_all(window.before), for_all(window.after)), x, "pad");
    std::ranges::fill(window.before, 0);
  }
  const std::int64_t inputs = weight.dim(1) * groups;
  const nn::StateDict state = state_of(importer, weight, outputs);
  std::unique_ptr<nn::Module> layer = nn::make_layer(fmt::format("Conv{}d", window.kernel.size()),
                                                     {{"in_channels", inputs},
                                                      {"out_channels", outputs},
                                                      {"kernel_size", size_option(window.kernel)},
                                                      {"stride", size_option(window.stride)},
                                                      {"padding", size_option(window.before)},
                                                      {"dilation", size_option(window.dilation)},
                                                      {"groups", groups},
                                                      {"bias", state.size() > 1}});
  layer->to(importer.dtype());
  layer->load_state_dict(state);
  importer.set_output(0, importer.apply(std::move(layer), x));
}

void build_conv_transpose(Importer& importer) {
  const Value x = importer.input(0);
  const Tensor weight = weight_of(importer, x.shapes[0]);
  const std::string automatic = importer.attribute("auto_pad", std::string("NOTSET"));
  Window window = window_of(importer, x.shapes[0], spatial_of(weight.shape()));
  const std::size_t spatial = window.kernel.size();
  std::vector<std::int64_t> added =
      importer.attribute("output_padding", std::vector<std::int64_t>(spatial, 0));
  const auto wanted = importer.attribute("output_shape", std::vector<std::int64_t>{});
  const std::int64_t groups = importer.attribute("group", std::int64_t{1});
  if (groups < 1 || weight.dim(0) % groups != 0) importer.refuse("its group is {}", groups);
  if (added.size() != spatial || (!wanted.empty() && wanted.size() != spatial)) {
    importer.refuse("expected {} values of output_padding and output_shape", spatial);
  }
  // What the layer computes with the pads that are on both sides, and what is then cut off or
  // added.
  std::vector<std::int64_t> padding(spatial), cut_before(spatial), cut_after(spatial);
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t extent = x.shapes[0][2 + static_cast<int>(i)];
    const std::int64_t whole =
        (extent - 1) * window.stride[i] + window.dilation[i] * (window.kernel[i] - 1) + 1;
    const bool same = automatic.starts_with("SAME");
    if (!wanted.empty() || same) {
      const std::int64_t goal = wanted.empty() ? extent * window.stride[i] : wanted[i];
      const std::int64_t computed = whole + added[i] - goal;
      if (computed < 0) added[i] -= computed;
      const std::int64_t total = std::max<std::int64_t>(computed, 0);
      // The texts of the sets before 11 say it the other way round, against their own auto_pad;
      // what runs such models follows set 11 for all of them.
      const bool upper = automatic == "SAME_UPPER";
      window.before[i] = upper ? total / 2 : total - total / 2;
      window.after[i] = total - window.before[i];
    }
    padding[i] = std::min(window.before[i], window.after[i]);
    cut_before[i] = padding[i] - window.before[i];
    cut_after[i] = padding[i] - window.after[i];
    if (cut_after[i] < 0) {
      const std::int64_t both = std::min(added[i], -cut_after[i]);
      cut_after[i] += both;
      added[i] -= both;
    }
    if (added[i] < 0) importer.refuse("its output_padding holds {}", added[i]);
  }
  const std::int64_t inputs = weight.dim(0), outputs = weight.dim(1) * groups;
  const nn::StateDict state = state_of(importer, weight, outputs);
  std::unique_ptr<nn::Module> layer = nn::make_layer(fmt::format("ConvTranspose{}d", spatial),
                                                     {{"in_channels", inputs},
                                                      {"out_channels", outputs},
                                                      {"kernel_size", size_option(window.kernel)},
                                                      {"stride", size_option(window.stride)},
                                                      {"padding", size_option(padding)},
                                                      {"output_padding", size_option(added)},
                                                      {"dilation", size_option(window.dilation)},
                                                      {"groups", groups},
                                                      {"bias", state.size() > 1}});
  layer->to(importer.dtype());
  layer->load_state_dict(state);
  Value y = importer.apply(std::move(layer), x);
  const auto nonzero = [](std::int64_t n) { return n != 0; };
  if (std::ranges::any_of(cut_before, nonzero) || std::ranges::any_of(cut_after, nonzero)) {
    y = importer.apply(nn::Pad(for_all(cut_before), for_all(cut_after)), y, "cut");
  }
  importer.set_output(0, std::move(y));
}

}  // namespace evenkeel::deploy
