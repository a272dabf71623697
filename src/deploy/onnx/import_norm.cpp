// Normalization operators.

#include <algorithm>
#include <cmath>

#include "deploy/onnx/importer.h"
#include <evenkeel/nn/layers/batch_norm.h>
#include <evenkeel/nn/layers/group_norm.h>
#include <evenkeel/nn/layers/instance_norm.h>
#include <evenkeel/nn/layers/layer_norm.h>

namespace evenkeel::deploy {
namespace {

double epsilon_of(const Importer& importer) {
  const double eps = importer.attribute("epsilon", 1e-5);
  if (!(eps >= 0) || !std::isfinite(eps)) importer.refuse("its epsilon is {}", eps);
  return eps;
}

/// Input `index`, one value per channel.
Tensor per_channel(const Importer& importer, std::size_t index, std::string_view what,
                   std::int64_t channels) {
  const Tensor tensor = importer.constant(index, what);
  if (tensor.dtype() != DType::f32 && tensor.dtype() != DType::f64) {
    importer.refuse("its {} has no real elements", what);
  }
  if (tensor.shape() != Shape{channels}) {
    importer.refuse("its {} has shape {}, expected [{}]", what, tensor.shape().str(), channels);
  }
  return tensor;
}

/// [N, C, spatial...] with `ranks` dimensions; the channels.
std::int64_t channels_of(const Importer& importer, int least, int most) {
  const Shape& shape = importer.input(0).shapes[0];
  if (shape.rank() < least || shape.rank() > most) {
    importer.refuse("inputs of shape {} are not supported; expected {} to {} dimensions",
                    shape.str(), least, most);
  }
  if (shape[1] < 1) importer.refuse("it has no channels: {}", shape.str());
  return shape[1];
}

/// ONNX's is the weight of the old value. Rounded to f32 there, so that 0.9 is 0.9 again.
double momentum_of(const Importer& importer) {
  const double onnx = importer.attribute("momentum", static_cast<double>(0.9F));
  if (!(onnx >= 0 && onnx <= 1)) importer.refuse("its momentum is {}", onnx);
  return std::round((1 - onnx) * 1e6) / 1e6;
}

/// Up to set 13 a batch norm is in training mode where it has further outputs: its statistics.
bool in_training_mode(const Importer& importer) {
  if (importer.opset() >= 14) return importer.attribute("training_mode", std::int64_t{0}) != 0;
  const auto& outputs = importer.node().outputs;
  return outputs.size() > 1 && std::ranges::any_of(outputs.begin() + 1, outputs.end(),
                                                   [](const auto& name) { return !name.empty(); });
}

/// The first of the dimensions that a layer norm is over: those from there to the end.
std::int64_t first_normalized(const Importer& importer, int rank) {
  if (!importer.has_attribute(kNormalizedAxes)) {
    return importer.dimension(importer.attribute("axis", std::int64_t{-1}), rank);
  }
  std::vector<std::int64_t> axes = importer.attribute(kNormalizedAxes, std::vector<std::int64_t>{});
  for (std::int64_t& axis : axes) axis = importer.dimension(axis, rank);
  std::ranges::sort(axes);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] != rank - std::ssize(axes) + static_cast<std::int64_t>(i)) {
      importer.refuse("it normalizes over other dimensions than the last, which is not supported");
    }
  }
  return rank - std::ssize(axes);
}

bool is_full(const Tensor& tensor, double value) {
  const Tensor wide = tensor.to(DType::f64);
  return std::ranges::all_of(std::as_const(wide).span<double>(),
                             [&](double one) { return one == value; });
}

}  // namespace

void build_batch_normalization(Importer& importer) {
  const std::int64_t channels = channels_of(importer, 2, 5);
  if (importer.attribute("spatial", std::int64_t{1}) == 0) {
    importer.refuse("spatial = 0, statistics per position, is not supported");
  }
  const Tensor scale = per_channel(importer, 1, "scale", channels);
  const Tensor shift = per_channel(importer, 2, "bias", channels);
  const Tensor mean = per_channel(importer, 3, "mean", channels);
  const Tensor var = per_channel(importer, 4, "variance", channels);
  const Tensor wide = var.to(DType::f64);
  for (const double value : std::as_const(wide).span<double>()) {
    if (value < 0) importer.refuse("its running variance has a negative element, {}", value);
  }
  for (std::size_t i = 1; i < importer.node().outputs.size(); ++i) {
    if (importer.output_used(i)) {
      importer.refuse("its output {} is read; only the first is supported",
                      io::quote(importer.node().outputs[i]));
    }
  }
  // In training mode, with statistics that are never moved from where they begin, there are none:
  // it always takes the batch's.
  const bool training = in_training_mode(importer);
  const bool tracked =
      !training || momentum_of(importer) > 0 || !is_full(mean, 0) || !is_full(var, 1);
  const nn::BatchNormOptions options{.eps = epsilon_of(importer),
                                     .momentum = momentum_of(importer),
                                     .track_running_stats = tracked,
                                     .unbiased = importer.unbiased()};
  const int rank = importer.input(0).shapes[0].rank();
  std::unique_ptr<nn::BatchNorm> layer;
  if (rank == 5) {
    layer = std::make_unique<nn::BatchNorm3d>(channels, options);
  } else if (rank == 4) {
    layer = std::make_unique<nn::BatchNorm2d>(channels, options);
  } else {
    layer = std::make_unique<nn::BatchNorm1d>(channels, options);
  }
  layer->to(importer.dtype());
  nn::StateDict state{{"weight", scale}, {"bias", shift}};
  if (tracked) {
    state.emplace_back("running_mean", mean);
    state.emplace_back("running_var", var);
    state.emplace_back("num_batches_tracked", Tensor::zeros({}, DType::i64));
  }
  layer->load_state_dict(state);
  const Value result = importer.apply(std::move(layer), importer.input(0));
  if (training && tracked) importer.add_training_norm(result.node);
  importer.set_output(0, result);
}

void build_instance_normalization(Importer& importer) {
  const std::int64_t channels = channels_of(importer, 3, 5);
  const Tensor scale = per_channel(importer, 1, "scale", channels);
  const Tensor shift = per_channel(importer, 2, "bias", channels);
  const nn::InstanceNormOptions options{.eps = epsilon_of(importer), .affine = true};
  const int rank = importer.input(0).shapes[0].rank();
  std::unique_ptr<nn::Module> layer;
  if (rank == 5) {
    layer = std::make_unique<nn::InstanceNorm3d>(channels, options);
  } else if (rank == 4) {
    layer = std::make_unique<nn::InstanceNorm2d>(channels, options);
  } else {
    layer = std::make_unique<nn::InstanceNorm1d>(channels, options);
  }
  layer->to(importer.dtype());
  layer->load_state_dict({{"weight", scale}, {"bias", shift}});
  importer.set_output(0, importer.apply(std::move(layer), importer.input(0)));
}

void build_layer_normalization(Importer& importer) {
  const Value& x = importer.input(0);
  const Shapes& shapes = x.shapes;
  const std::int64_t axis = first_normalized(importer, shapes[0].rank());
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    if (importer.output_used(i)) importer.refuse("its statistics are read, which is not supported");
  }
  const Shape normalized = shapes[0].drop(static_cast<int>(axis));
  if (normalized != shapes[1].drop(static_cast<int>(axis))) {
    importer.refuse("it normalizes over the batch");
  }
  // Scale and bias may be given with leading extents of 1 left out.
  const auto full = [&](std::size_t index, std::string_view what) {
    const Tensor given = importer.constant(index, what);
    if (given.numel() != normalized.numel()) {
      importer.refuse("its {} has shape {}, expected {}", what, given.shape().str(),
                      normalized.str());
    }
    return given.reshape(normalized);
  };
  const bool scaled = importer.has(1);  // PyTorch leaves it out even in set 17, which asks for one
  const bool biased = importer.has(2);
  auto layer = std::make_unique<nn::LayerNorm>(
      normalized, nn::LayerNormOptions{
                      .eps = epsilon_of(importer), .elementwise_affine = scaled, .bias = biased});
  layer->to(importer.dtype());
  nn::StateDict state;
  if (scaled) state.emplace_back("weight", full(1, "scale"));
  if (biased) state.emplace_back("bias", full(2, "bias"));
  layer->load_state_dict(state);
  importer.set_output(0, importer.apply(std::move(layer), x));
}

void build_group_normalization(Importer& importer) {
  if (importer.opset() < 18) importer.refuse("operator sets before 18 do not have it");
  const std::int64_t channels = channels_of(importer, 2, Shape::kMaxRank);
  const std::int64_t groups = importer.attribute("num_groups", std::int64_t{0});
  if (groups < 1 || channels % groups != 0) {
    importer.refuse("{} groups do not divide {} channels", groups, channels);
  }
  // A value for each of them is made: what the input claims must not ask for any amount of memory.
  constexpr std::int64_t kMostChannels = std::int64_t{1} << 20;
  if (channels > kMostChannels) importer.refuse("{} channels are too many", channels);
  // One value per group up to set 20, one per channel from 21 on.
  const bool per_group = importer.opset() < 21;
  const auto full = [&](std::size_t index, std::string_view what) {
    const Tensor given = per_channel(importer, index, what, per_group ? groups : channels);
    if (!per_group) return given;
    const Tensor wide = given.to(DType::f64);
    Tensor result = Tensor::empty({channels}, DType::f64);
    for (std::int64_t c = 0; c < channels; ++c) {
      result.data<double>()[c] = std::as_const(wide).data<double>()[c / (channels / groups)];
    }
    return result;
  };
  auto layer = std::make_unique<nn::GroupNorm>(groups, channels,
                                               nn::GroupNormOptions{.eps = epsilon_of(importer)});
  layer->to(importer.dtype());
  layer->load_state_dict({{"weight", full(1, "scale")}, {"bias", full(2, "bias")}});
  importer.set_output(0, importer.apply(std::move(layer), importer.input(0)));
}

}  // namespace evenkeel::deploy
