#include "nn/fold/affine_map.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <evenkeel/nn/layer_table.h>
#include <evenkeel/nn/layers/conv.h>
#include <evenkeel/nn/layers/conv_transpose.h>
#include <evenkeel/nn/layers/linear.h>

namespace evenkeel::nn {
namespace {

/// The tensor of that name in double, undefined where the module has none.
Tensor named(const StateDict& state, std::string_view name) {
  for (const auto& [key, tensor] : state) {
    if (key == name) return tensor.to(DType::f64);
  }
  return {};
}

/// A layer's numbers in double, and which channels each element of its weight connects.
struct Numbers {
  Tensor weight, bias;  // copies
  std::int64_t inputs, outputs, groups, taps;
  bool transposed;

  std::int64_t output_of(std::int64_t element) const {
    if (!transposed) return element / (taps * inputs / groups);
    const std::int64_t each = outputs / groups;
    return input_of(element) / (inputs / groups) * each + element / taps % each;
  }
  std::int64_t input_of(std::int64_t element) const {
    if (transposed) return element / (taps * outputs / groups);
    const std::int64_t each = inputs / groups;
    return output_of(element) / (outputs / groups) * each + element / taps % each;
  }
};

Numbers numbers_of(const Weighted& at) {
  Tensor weight, bias;
  std::int64_t groups = 1;
  const auto bias_of = [](auto& layer) { return layer.has_bias() ? layer.bias().value : Tensor(); };
  if (auto* conv = dynamic_cast<Convolution*>(at.layer)) {
    weight = conv->effective_weight();
    bias = bias_of(*conv);
    groups = conv->geometry().groups;
  } else if (auto* transposed = dynamic_cast<TransposedConvolution*>(at.layer)) {
    weight = transposed->weight().value;
    bias = bias_of(*transposed);
    groups = transposed->geometry().groups;
  } else {
    auto& linear = dynamic_cast<Linear&>(*at.layer);
    weight = linear.weight().value;
    bias = bias_of(linear);
  }
  Numbers result{
      weight.to(DType::f64).clone(),
      bias.defined() ? bias.to(DType::f64).clone() : Tensor::zeros({at.outputs}, DType::f64),
      at.inputs,
      at.outputs,
      groups,
      1,
      at.transposed};
  result.taps = weight.numel() * groups / std::max<std::int64_t>(1, at.inputs * at.outputs);
  return result;
}

/// The same layer with a bias and these numbers, rounded to the dtype that it has.
std::unique_ptr<Module> rebuilt(Module& layer, const Numbers& numbers) {
  Options options = layer.options();
  options.set("bias", true);
  if (options.contains("weight_standardization")) options.set("weight_standardization", false);
  std::unique_ptr<Module> result = make_layer(std::string(layer.type()), options);
  const DType dtype = layer.state_dict().front().second.dtype();
  result->to(dtype);
  result->load_state_dict({{"weight", numbers.weight.to(dtype)}, {"bias", numbers.bias.to(dtype)}});
  result->eval();
  return result;
}

}  // namespace

bool AffineMap::shifts() const {
  return std::ranges::any_of(shift, [](double value) { return value != 0; });
}

AffineMap map_of(BatchNorm& norm) {
  const StateDict state = norm.state_dict();
  const Tensor gamma = named(state, "weight"), beta = named(state, "bias");
  const Tensor mean = named(state, "running_mean"), var = named(state, "running_var");
  AffineMap map;
  for (std::int64_t c = 0; c < norm.channels(); ++c) {
    const double scale = (gamma.defined() ? gamma.data<double>()[c] : 1.0) /
                         std::sqrt(var.data<double>()[c] + norm.settings().eps);
    map.scale.push_back(scale);
    map.shift.push_back((beta.defined() ? beta.data<double>()[c] : 0.0) -
                        mean.data<double>()[c] * scale);
  }
  return map;
}

std::string fault_of(BatchNorm& norm) {
  for (const auto& [name, tensor] : norm.state_dict()) {
    const bool statistics = name.starts_with("running_");
    const double least = name == "running_var" ? -norm.settings().eps : -INFINITY;
    const Tensor wide = tensor.to(DType::f64);
    for (const double value : std::as_const(wide).span<double>()) {
      if (std::isfinite(value) && value > least) continue;
      return fmt::format("its {} holds {}; {}", name, value,
                         statistics ? "take the statistics anew with evenkeel recalibrate"
                                    : "take the weights of an older checkpoint");
    }
  }
  return {};
}

AffineMap map_of(const Elementwise& layer, int rank, std::int64_t channels) {
  const Tensor weight = layer.weight().to(DType::f64);
  const Shape& shape = weight.shape();
  if (shape.rank() > rank) return {};
  for (int i = 0; i < shape.rank(); ++i) {
    const bool is_channel = rank - shape.rank() + i == 1;
    if (shape[i] != 1 && !(is_channel && shape[i] == channels)) return {};
  }
  const bool product = layer.type() == "Scale";
  AffineMap map;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double value = std::as_const(weight).data<double>()[weight.numel() == 1 ? 0 : c];
    map.scale.push_back(product ? value : 1.0);
    map.shift.push_back(product ? 0.0 : value);
  }
  return map;
}

Weighted weighted(Module& module) {
  if (auto* conv = dynamic_cast<Convolution*>(&module)) {
    const bool pads = conv->geometry().padding != ops::Spatial{};
    return {conv, conv->in_channels(), conv->out_channels(), conv->spatial_rank() + 2, pads, false};
  }
  if (auto* conv = dynamic_cast<TransposedConvolution*>(&module)) {
    // Fewer taps meet at the borders than within, whatever is cut off.
    return {conv, conv->in_channels(), conv->out_channels(), conv->spatial_rank() + 2, true, true};
  }
  if (auto* linear = dynamic_cast<Linear*>(&module)) {
    return {linear, linear->in_features(), linear->out_features(), 2, false, false};
  }
  return {};
}

std::unique_ptr<Module> with_map_behind(const Weighted& at, const AffineMap& map) {
  Numbers numbers = numbers_of(at);
  double* const w = numbers.weight.data<double>();
  double* const b = numbers.bias.data<double>();
  for (std::int64_t e = 0; e < numbers.weight.numel(); ++e) {
    w[e] *= map.scale[static_cast<std::size_t>(numbers.output_of(e))];
  }
  for (std::int64_t o = 0; o < at.outputs; ++o) {
    const auto i = static_cast<std::size_t>(o);
    b[o] = b[o] * map.scale[i] + map.shift[i];
  }
  return rebuilt(*at.layer, numbers);
}

std::unique_ptr<Module> with_map_before(const Weighted& at, const AffineMap& map,
                                        std::int64_t each) {
  Numbers numbers = numbers_of(at);
  double* const w = numbers.weight.data<double>();
  double* const b = numbers.bias.data<double>();
  for (std::int64_t e = 0; e < numbers.weight.numel(); ++e) {
    const auto c = static_cast<std::size_t>(numbers.input_of(e) / each);
    b[numbers.output_of(e)] += w[e] * map.shift[c];
    w[e] *= map.scale[c];
  }
  return rebuilt(*at.layer, numbers);
}

}  // namespace evenkeel::nn
