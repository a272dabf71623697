// Layers of one operator, or of few.

#include <cmath>
#include <limits>

#include "deploy/onnx/exporter.h"
#include <evenkeel/nn/layers/activation.h>
#include <evenkeel/nn/layers/clip.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/nn/layers/dropout.h>
#include <evenkeel/nn/layers/elementwise.h>
#include <evenkeel/nn/layers/flatten.h>
#include <evenkeel/nn/layers/folded_conv.h>
#include <evenkeel/nn/layers/linear.h>
#include <evenkeel/nn/layers/mean.h>
#include <evenkeel/nn/layers/pad.h>
#include <evenkeel/nn/layers/permute.h>
#include <evenkeel/nn/layers/pointwise.h>
#include <evenkeel/nn/layers/pool.h>
#include <evenkeel/nn/layers/reshape.h>
#include <evenkeel/nn/layers/slice.h>
#include <evenkeel/nn/layers/softmax.h>

namespace evenkeel::deploy {
namespace {

using Integers = std::vector<std::int64_t>;

/// The first `rank`.
Integers spatial(const ops::Spatial& values, int rank) {
  return {values.begin(), values.begin() + rank};
}

Integers twice(const Integers& values) {
  Integers result = values;
  result.insert(result.end(), values.begin(), values.end());
  return result;
}

Attributes window_attributes(const ops::ConvOptions& geometry, const Shape& weight) {
  const int rank = weight.rank() - 2;
  const Shape kernel = weight.drop(2);
  return {{"kernel_shape", Integers(kernel.dims().begin(), kernel.dims().end())},
          {"strides", spatial(geometry.stride, rank)},
          {"pads", twice(spatial(geometry.padding, rank))},
          {"dilations", spatial(geometry.dilation, rank)},
          {"group", geometry.groups}};
}

Symbol activation(Exporter& exporter, ops::ActivationKind kind, double slope, const Symbol& x,
                  const std::string& name) {
  switch (kind) {
    case ops::ActivationKind::relu:
      return {exporter.node("Relu", {x.name}, {}, name), {}};
    case ops::ActivationKind::sigmoid:
      return {exporter.node("Sigmoid", {x.name}, {}, name), {}};
    case ops::ActivationKind::tanh:
      return {exporter.node("Tanh", {x.name}, {}, name), {}};
    default:
      return {exporter.node("LeakyRelu", {x.name}, {{"alpha", slope}}, name), {}};
  }
}

Attributes pool_attributes(const ops::PoolOptions& geometry, const Shape& x) {
  const int rank = x.rank() - 2;
  return {{"kernel_shape", spatial(geometry.kernel, rank)},
          {"strides", spatial(geometry.stride, rank)},
          {"pads", twice(spatial(geometry.padding, rank))}};
}

/// A weight that is one, or a constant that is none.
std::string operand(Exporter& exporter, nn::Module& layer) {
  auto& elementwise = dynamic_cast<nn::Elementwise&>(layer);
  if (elementwise.learned()) return weight_of(exporter, layer, "weight");
  const Tensor weight = elementwise.weight();
  if (weight.numel() == 1 && weight.rank() == 0) return exporter.scalar(weight.item());
  return exporter.constant(weight);
}

}  // namespace

Symbol write_linear(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  return {exporter.node(
              "Gemm",
              {x.name, weight_of(exporter, layer, "weight"), weight_of(exporter, layer, "bias")},
              {{"transB", std::int64_t{1}}}, name_of(layer)),
          {}};
}

Symbol write_conv(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& conv = dynamic_cast<nn::Convolution&>(layer);
  const Tensor weight = conv.effective_weight();
  if (conv.weight_standardization()) {
    exporter.note(conv.label() +
                  ": written with its standardized weight, which training would not "
                  "standardize again");
  }
  return {exporter.node("Conv",
                        {x.name, exporter.initializer(name_of(layer) + ".weight", weight),
                         weight_of(exporter, layer, "bias")},
                        window_attributes(conv.geometry(), weight.shape()), name_of(layer)),
          {}};
}

Symbol write_folded_conv(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& folded = dynamic_cast<nn::FoldedConv&>(layer);
  const ops::FrozenConv& conv = folded.conv();
  if (folded.norm().sequences && x.shape.rank() == 3) exporter.lose_lengths(layer);
  const std::string name = name_of(layer);
  std::vector<std::string> inputs{x.name, exporter.initializer(name + ".weight", conv.weight())};
  if (conv.bias().defined()) inputs.push_back(exporter.initializer(name + ".bias", conv.bias()));
  Symbol y{
      exporter.node("Conv", inputs, window_attributes(conv.options(), conv.weight().shape()), name),
      {}};
  if (folded.joined() && !exporter.addends.empty()) {
    y.name = exporter.node("Add", {y.name, exporter.addends.back()}, {}, name + ".sum");
    exporter.addends.pop_back();
  }
  if (const auto& kind = conv.activation()) {
    y = activation(exporter, kind->kind, kind->slope, y, name + ".activation");
  }
  return y;
}

Symbol write_conv_transpose(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& conv = dynamic_cast<nn::TransposedConvolution&>(layer);
  const Shape weight = conv.weight().value.shape();
  Attributes attributes = window_attributes(conv.geometry(), weight);
  attributes.emplace_back("output_padding", spatial(conv.output_padding(), weight.rank() - 2));
  return {exporter.node(
              "ConvTranspose",
              {x.name, weight_of(exporter, layer, "weight"), weight_of(exporter, layer, "bias")},
              attributes, name_of(layer)),
          {}};
}

Symbol write_activation(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& one = dynamic_cast<nn::Activation&>(layer);
  if (one.absorbed()) return x;  // into a folded convolution
  return activation(exporter, one.kind(), one.slope(), x, name_of(layer));
}

/// x/2·(1 + erf(x/√2)): the operator set has no GELU.
Symbol write_gelu(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const std::string name = name_of(layer);
  const std::string scaled =
      exporter.node("Mul", {x.name, exporter.scalar(std::sqrt(0.5))}, {}, name + ".scaled");
  const std::string erf = exporter.node("Erf", {scaled}, {}, name + ".erf");
  const std::string shifted =
      exporter.node("Add", {erf, exporter.scalar(1)}, {}, name + ".shifted");
  const std::string half = exporter.node("Mul", {x.name, exporter.scalar(0.5)}, {}, name + ".half");
  return {exporter.node("Mul", {half, shifted}, {}, name), {}};
}

Symbol write_power(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const double exponent = dynamic_cast<nn::Power&>(layer).exponent();
  if (exponent == 0.5) return {exporter.node("Sqrt", {x.name}, {}, name_of(layer)), {}};
  if (exponent == -1) return {exporter.node("Reciprocal", {x.name}, {}, name_of(layer)), {}};
  return {exporter.node("Pow", {x.name, exporter.scalar(exponent)}, {}, name_of(layer)), {}};
}

Symbol write_erf(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  return {exporter.node("Erf", {x.name}, {}, name_of(layer)), {}};
}

Symbol write_clip(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const nn::ClipOptions& bounds = dynamic_cast<nn::Clip&>(layer).settings();
  return {exporter.node("Clip",
                        {x.name, std::isfinite(bounds.min) ? exporter.scalar(bounds.min) : "",
                         std::isfinite(bounds.max) ? exporter.scalar(bounds.max) : ""},
                        {}, name_of(layer)),
          {}};
}

Symbol write_softmax(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& softmax = dynamic_cast<nn::Softmax&>(layer);
  const std::string name = name_of(layer);
  const std::int64_t dim = softmax.dim() < 0 ? softmax.dim() + x.shape.rank() : softmax.dim();
  if (!softmax.to_end()) {
    return {exporter.node("Softmax", {x.name}, {{"axis", dim}}, name), {}};
  }
  const std::string shape = exporter.node("Shape", {x.name}, {}, name + ".shape");
  const std::string flat = exporter.node("Flatten", {x.name}, {{"axis", dim}}, name + ".flat");
  const std::string y = exporter.node("Softmax", {flat}, {{"axis", std::int64_t{1}}}, name);
  return {exporter.node("Reshape", {y, shape}, {}, name + ".back"), {}};
}

Symbol write_scale(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  return {exporter.node("Mul", {x.name, operand(exporter, layer)}, {}, name_of(layer)), {}};
}

Symbol write_shift(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  return {exporter.node("Add", {x.name, operand(exporter, layer)}, {}, name_of(layer)), {}};
}

Symbol write_dropout(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  std::vector<std::string> inputs{x.name, exporter.scalar(dynamic_cast<nn::Dropout&>(layer).p())};
  if (exporter.training()) inputs.push_back(exporter.constant(Tensor::full({}, 1, DType::u8)));
  return {exporter.node("Dropout", inputs, {}, name_of(layer)), {}};
}

Symbol write_max_pool(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const ops::PoolOptions& geometry = dynamic_cast<nn::Pool&>(layer).geometry();
  return {exporter.node("MaxPool", {x.name}, pool_attributes(geometry, x.shape), name_of(layer)),
          {}};
}

Symbol write_average_pool(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const ops::PoolOptions& geometry = dynamic_cast<nn::Pool&>(layer).geometry();
  Attributes attributes = pool_attributes(geometry, x.shape);
  attributes.emplace_back("count_include_pad", std::int64_t{geometry.count_include_pad ? 1 : 0});
  return {exporter.node("AveragePool", {x.name}, attributes, name_of(layer)), {}};
}

Symbol write_global_average_pool(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const std::string y = exporter.node("GlobalAveragePool", {x.name}, {}, name_of(layer));
  return {exporter.node("Flatten", {y}, {{"axis", std::int64_t{1}}}, name_of(layer) + ".rows"), {}};
}

Symbol write_pad(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& pad = dynamic_cast<nn::Pad&>(layer);
  Integers pads = pad.before();
  pads.insert(pads.end(), pad.after().begin(), pad.after().end());
  return {
      exporter.node("Pad", {x.name, exporter.integers(pads), exporter.scalar(pad.settings().value)},
                    {{"mode", std::string(nn::name_of(pad.settings().mode))}}, name_of(layer)),
      {}};
}

Symbol write_slice(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const nn::SliceOptions& part = dynamic_cast<nn::Slice&>(layer).settings();
  const std::int64_t dim = part.dim < 0 ? part.dim + x.shape.rank() : part.dim;
  return {exporter.node("Slice",
                        {x.name, exporter.integers({part.start}), exporter.integers({part.end}),
                         exporter.integers({dim}), exporter.integers({part.step})},
                        {}, name_of(layer)),
          {}};
}

Symbol write_permute(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  return {exporter.node("Transpose", {x.name}, {{"perm", dynamic_cast<nn::Permute&>(layer).dims()}},
                        name_of(layer)),
          {}};
}

Symbol write_reshape(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& reshape = dynamic_cast<nn::Reshape&>(layer);
  return {exporter.node("Reshape", {x.name, exporter.integers(reshape.shape())},
                        {{"allowzero", std::int64_t{reshape.copies() ? 0 : 1}}}, name_of(layer)),
          {}};
}

Symbol write_mean(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& mean = dynamic_cast<nn::Mean&>(layer);
  return {exporter.node(
              "ReduceMean", {x.name},
              {{"axes", mean.dims()}, {"keepdims", std::int64_t{mean.settings().keepdim ? 1 : 0}}},
              name_of(layer)),
          {}};
}

Symbol write_flatten(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  if (layer.output_shape(x.shape).rank() == 2) {
    return {exporter.node("Flatten", {x.name}, {{"axis", std::int64_t{1}}}, name_of(layer)), {}};
  }
  return {exporter.node("Reshape", {x.name, exporter.integers({0, 0, -1})}, {}, name_of(layer)),
          {}};
}

Symbol write_identity(Exporter& /*exporter*/, nn::Module& /*layer*/, const Symbol& x) { return x; }

}  // namespace evenkeel::deploy
