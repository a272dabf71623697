// Normalization layers.

#include "deploy/onnx/exporter.h"
#include <evenkeel/core/dtype.h>
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/group_norm.h>
#include <evenkeel/nn/layers/instance_norm.h>
#include <evenkeel/nn/layers/layer_norm.h>
#include <evenkeel/nn/layers/rms_norm.h>

namespace evenkeel::deploy {
namespace {

/// The layer's tensor, or one full of `otherwise`, as an initializer under its name.
std::string weight_or(Exporter& exporter, nn::Module& layer, const std::string& name,
                      const Shape& shape, double otherwise) {
  const std::string written = weight_of(exporter, layer, name);
  if (!written.empty()) return written;
  return exporter.initializer(name_of(layer) + "." + name, Tensor::full(shape, otherwise));
}

double eps_of(const nn::Module& layer) { return layer.options().get("eps", 1e-5); }

struct Statistics {
  bool batch = false;     ///< of the batch, as in training
  bool tracked = true;    ///< there are running ones
  double momentum = 0.1;  ///< the weight of the new value
};

Symbol batch_normalization(Exporter& exporter, nn::Module& layer, const Symbol& x,
                           std::int64_t channels, const Statistics& statistics) {
  const std::string name = name_of(layer);
  const std::vector<std::string> inputs{x.name, weight_or(exporter, layer, "weight", {channels}, 1),
                                        weight_or(exporter, layer, "bias", {channels}, 0),
                                        weight_or(exporter, layer, "running_mean", {channels}, 0),
                                        weight_or(exporter, layer, "running_var", {channels}, 1)};
  // Without running statistics the old ones have all the weight.
  const double momentum = statistics.tracked ? 1 - statistics.momentum : 1;
  Attributes attributes{{"epsilon", eps_of(layer)}, {"momentum", momentum}};
  std::vector<std::string> more;
  if (statistics.batch) {
    attributes.emplace_back("training_mode", std::int64_t{1});
    more = {name + ".new_running_mean", name + ".new_running_var"};
  }
  return {exporter.node("BatchNormalization", inputs, attributes, name, more), {}};
}

}  // namespace

/// ONNX's momentum is the weight of the old value.
Symbol write_batch_norm(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& norm = dynamic_cast<nn::BatchNorm&>(layer);
  const nn::BatchNormOptions& settings = norm.settings();
  Statistics statistics;
  const bool frozen = norm.frozen() == nn::Freeze::statistics || norm.frozen() == nn::Freeze::all;
  statistics.tracked = settings.track_running_stats;
  statistics.batch = !settings.track_running_stats || (exporter.training() && !frozen);
  if (settings.momentum) {
    statistics.momentum = *settings.momentum;
  } else if (exporter.training()) {
    exporter.note(norm.label() + ": its cumulative average is written as a momentum of 0.1");
  }
  if (settings.decay) statistics.momentum = 1 - *settings.decay;
  if (exporter.training() &&
      (norm.frozen() == nn::Freeze::affine || norm.frozen() == nn::Freeze::all)) {
    exporter.note(norm.label() + ": its weight and bias are frozen here, and not in the model");
  }
  if (x.shape.rank() == 3) exporter.lose_lengths(layer);
  if (exporter.training() && (norm.renorm() || settings.ghost_size > 0)) {
    fail<UsageError>(
        "[onnx] {} cannot be written for training: the format has no virtual batches and no "
        "renormalization; export it without training",
        norm.label());
  }
  if (norm.masked()) {
    fail<UsageError>("[onnx] {} cannot be written: it goes by a mask of valid steps", norm.label());
  }
  return batch_normalization(exporter, layer, x, norm.channels(), statistics);
}

Symbol write_instance_norm(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& norm = dynamic_cast<nn::InstanceNorm&>(layer);
  if (norm.settings().track_running_stats) {
    if (exporter.training()) {
      fail<UsageError>(
          "[onnx] {} cannot be written for training: the format's instance norm keeps no running "
          "statistics; export it without training",
          norm.label());
    }
    return batch_normalization(exporter, layer, x, norm.channels(), {});
  }
  const Shape shape{norm.channels()};
  return {exporter.node("InstanceNormalization",
                        {x.name, weight_or(exporter, layer, "weight", shape, 1),
                         weight_or(exporter, layer, "bias", shape, 0)},
                        {{"epsilon", eps_of(layer)}}, name_of(layer)),
          {}};
}

Symbol write_layer_norm(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const Shape shape = dynamic_cast<nn::TrailingNorm&>(layer).normalized_shape();
  return {exporter.node("LayerNormalization",
                        {x.name, weight_or(exporter, layer, "weight", shape, 1),
                         weight_of(exporter, layer, "bias")},
                        {{"axis", -std::int64_t{shape.rank()}}, {"epsilon", eps_of(layer)}},
                        name_of(layer)),
          {}};
}

/// x/√(mean(x²) + ε)·γ
Symbol write_rms_norm(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  const Shape shape = dynamic_cast<nn::TrailingNorm&>(layer).normalized_shape();
  const std::string name = name_of(layer);
  const bool wide = exporter.dtype() == DType::f64;
  const double tiny = wide ? 0x1p-52 : 0x1p-23;
  const double eps = layer.options().get("eps", tiny);
  std::vector<std::int64_t> axes;
  for (int d = shape.rank(); d > 0; --d) axes.push_back(-d);
  const std::string squares = exporter.node("Mul", {x.name, x.name}, {}, name + ".squares");
  const std::string mean = exporter.node("ReduceMean", {squares}, {{"axes", axes}}, name + ".mean");
  const std::string shifted =
      exporter.node("Add", {mean, exporter.scalar(eps)}, {}, name + ".shifted");
  const std::string root = exporter.node("Sqrt", {shifted}, {}, name + ".root");
  const std::string y = exporter.node("Div", {x.name, root}, {}, name + ".normalized");
  const std::string weight = weight_of(exporter, layer, "weight");
  if (weight.empty()) return {y, {}};
  return {exporter.node("Mul", {y, weight}, {}, name), {}};
}

/// Instance norm with one channel per group, and the affine map on its own: up to operator set 17
/// there is no other.
Symbol write_group_norm(Exporter& exporter, nn::Module& layer, const Symbol& x) {
  auto& norm = dynamic_cast<nn::GroupNorm&>(layer);
  const std::string name = name_of(layer);
  const Shape groups{norm.groups()};
  const std::string rows = exporter.node(
      "Reshape", {x.name, exporter.integers({0, norm.groups(), -1})}, {}, name + ".groups");
  const std::string normalized =
      exporter.node("InstanceNormalization",
                    {rows, exporter.constant(Tensor::full(groups, 1, exporter.dtype())),
                     exporter.constant(Tensor::full(groups, 0, exporter.dtype()))},
                    {{"epsilon", eps_of(layer)}}, name + ".normalized");
  std::vector<std::int64_t> back(x.shape.dims().begin(), x.shape.dims().end());
  back[0] = 0;
  const std::string whole =
      exporter.node("Reshape", {normalized, exporter.integers(back)}, {}, name + ".whole");
  Tensor weight = tensor_of(layer, "weight"), bias = tensor_of(layer, "bias");
  if (!weight.defined()) return {whole, {}};
  std::vector<std::int64_t> per_channel{norm.channels()};
  for (int d = 2; d < x.shape.rank(); ++d) per_channel.push_back(1);
  const Shape shape{std::span<const std::int64_t>(per_channel)};
  const std::string scaled =
      exporter.node("Mul", {whole, exporter.initializer(name + ".weight", weight.reshape(shape))},
                    {}, name + ".scaled");
  return {exporter.node("Add", {scaled, exporter.initializer(name + ".bias", bias.reshape(shape))},
                        {}, name),
          {}};
}

}  // namespace evenkeel::deploy
