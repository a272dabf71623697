#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/row_pass.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/instance_norm.h>

namespace evenkeel::nn {

InstanceNorm::InstanceNorm(std::int64_t channels, int spatial_rank, InstanceNormOptions options)
    : channels_(channels), spatial_rank_(spatial_rank), settings_(options) {
  expect_at_least("InstanceNorm", "num_features", channels_, 1);
  expect_eps("InstanceNorm", settings_.eps);
  if (!(settings_.momentum >= 0 && settings_.momentum <= 1)) {
    fail<UsageError>("[InstanceNorm] expected momentum from 0 to 1, got {}", settings_.momentum);
  }
  if (settings_.affine) {
    weight_ = register_parameter("weight", {channels_}, ParameterKind::norm_scale);
    bias_ = register_parameter("bias", {channels_}, ParameterKind::norm_shift);
    parameter(weight_).value.fill(1);
  }
  if (settings_.track_running_stats) {
    mean_ = register_buffer("running_mean", Tensor::zeros({channels_}, DType::f64));
    var_ = register_buffer("running_var", Tensor::full({channels_}, 1, DType::f64));
    register_buffer("num_batches_tracked", Tensor::zeros(Shape{}, DType::i64));
  }
}

Options InstanceNorm::options() const {
  return {{"num_features", channels_},
          {"eps", settings_.eps},
          {"momentum", settings_.momentum},
          {"affine", settings_.affine},
          {"track_running_stats", settings_.track_running_stats}};
}

std::string InstanceNorm::mode_note() const {
  return settings_.track_running_stats ? "running statistics in eval mode" : "";
}

void InstanceNorm::reset_parameters(Random& /*random*/) {
  if (settings_.affine) {
    parameter(weight_).value.fill(1);
    parameter(bias_).value.fill(0);
  }
  if (settings_.track_running_stats) {
    buffer(mean_).fill(0);
    buffer(var_).fill(1);
  }
}

norm::Affine InstanceNorm::affine() const {
  if (!settings_.affine) return {};
  return {norm::ConstVectorView(parameter(weight_).value),
          norm::ConstVectorView(parameter(bias_).value)};
}

Shape InstanceNorm::output_shape(const Shape& input) const {
  const bool single = input.rank() == spatial_rank_ + 1;
  if (!single && input.rank() != spatial_rank_ + 2) {
    const char* wanted = spatial_rank_ == 1   ? "[N, C, L] or [C, L]"
                         : spatial_rank_ == 2 ? "[N, C, H, W] or [C, H, W]"
                                              : "[N, C, D, H, W] or [C, D, H, W]";
    fail<ShapeError>("[{}] expected {}, got {}; InstanceNorm1d, 2d and 3d differ in this", label(),
                     wanted, input.str());
  }
  const int dimension = single ? 0 : 1;
  if (input[dimension] != channels_) {
    fail<ShapeError>("[{}] expected {} channels in dimension {}, got {}; build it for {}", label(),
                     channels_, dimension, input.str(), input[dimension]);
  }
  return input;
}

/// [N, C, spatial...]; one sample is a batch of its own.
Tensor InstanceNorm::batched(const Tensor& x) const {
  if (x.rank() == spatial_rank_ + 2) return x;
  std::vector<std::int64_t> extents{1};
  extents.insert(extents.end(), x.shape().dims().begin(), x.shape().dims().end());
  return x.to(Layout::channels_first).reshape(Shape(extents));
}

Tensor InstanceNorm::forward(const Tensor& input) {
  output_shape(input.shape());
  if (settings_.affine) expect_dtype(*this, input, parameter(weight_));
  const Tensor x = batched(input);
  const bool running = settings_.track_running_stats && !training_;
  if (!running && x.numel() > 0 && x.numel() == x.dim(0) * channels_) {
    fail<ShapeError>(
        "[{}] expected more than one position per channel, got {}; its variance is 0 whatever it "
        "is",
        label(), input.shape().str());
  }
  Saved saved{{}, running, input.shape(), input.layout()};
  SavedRows* rows = recording() ? &saved.rows : nullptr;
  if (recording()) saved_.make_room();
  Relaid result(x, input.shape(), input.layout());
  const Tensor y = result.of(running ? forward_running(x, rows) : forward_instances(x, rows));
  if (recording()) saved_.push(std::move(saved));
  return y;
}

Tensor InstanceNorm::forward_instances(const Tensor& x, SavedRows* saved) {
  const norm::ConstRowView rows = norm::group_view(norm::view(x), channels_);
  const bool update = settings_.track_running_stats && training_;
  SavedRows own;
  SavedRows* used = saved == nullptr && update ? &own : saved;
  const OperatorMemory workspace(update ? norm::row_workspace_size(rows) : 0);
  Tensor y = forward_rows(x, rows, affine(), {settings_.eps}, used);
  if (update) {
    norm::RunningStats running{buffer(mean_).span<double>(), buffer(var_).span<double>()};
    running.momentum = settings_.momentum;
    norm::update_running_instances(rows, state_of(*used), running, workspace.span);
  }
  return y;
}

Tensor InstanceNorm::forward_running(const Tensor& x, SavedRows* saved) {
  const norm::ConstChannelView in = norm::view(x);
  const OperatorMemory workspace(norm::workspace_size(in));
  const auto mean = std::as_const(*this).buffer(mean_).span<double>();
  const auto var = std::as_const(*this).buffer(var_).span<double>();
  Tensor y = Tensor::like(x);
  norm::BatchNormState state;
  if (saved != nullptr) {
    const std::size_t bytes = norm::state_size(in, {});
    *saved = {x, norm::group_view(in, channels_), allocate(bytes)};
    state = norm::bind_state({saved->memory.get(), bytes}, in, {});
  }
  norm::forward_infer(in, affine(), settings_.eps, mean, var, {}, norm::view(y),
                      saved != nullptr ? &state : nullptr, workspace.span);
  return y;
}

Tensor InstanceNorm::backward(const Tensor& dy) {
  const Saved& saved = saved_.top(*this);
  const Tensor& x = saved.rows.x;
  const Tensor gradient = batched(expect_gradient(*this, dy, saved.shape, x.dtype(), saved.layout));
  norm::VectorView dgamma, dbeta;
  if (settings_.affine) {
    dgamma = norm::VectorView(parameter(weight_).grad);
    dbeta = norm::VectorView(parameter(bias_).grad);
  }
  Relaid result(x, saved.shape, saved.layout);
  Tensor dx;
  if (saved.running) {
    const norm::ConstChannelView in = norm::view(x);
    const OperatorMemory workspace(norm::workspace_size(in));
    const norm::BatchNormState state =
        norm::bind_state({saved.rows.memory.get(), norm::state_size(in, {})}, in, {});
    dx = Tensor::like(x);
    norm::backward_infer(in, norm::view(gradient), affine(), state, {}, norm::view(dx), dgamma,
                         dbeta, std::nullopt, workspace.span);
  } else {
    dx = backward_rows(saved.rows, gradient, affine(), norm::Centre::mean, dgamma, dbeta);
  }
  dx = result.of(dx);
  saved_.pop();
  return dx;
}

namespace {

template <class Layer>
LayerRow row_of(std::string name, std::string shape, const Shape& input) {
  LayerRow row;
  row.name = std::move(name);
  row.help = "normalization of each channel of each sample of " + shape +
             ": num_features, eps, momentum, affine, track_running_stats";
  row.make = [label = row.name](const Options& options) -> std::unique_ptr<Module> {
    InstanceNormOptions settings;
    settings.eps = options.get("eps", settings.eps);
    settings.momentum = options.get("momentum", settings.momentum);
    settings.affine = options.get("affine", false);
    settings.track_running_stats = options.get("track_running_stats", false);
    return std::make_unique<Layer>(options.require_int("num_features", label), settings);
  };
  for (Options variant : {Options{}, Options{{"affine", true}, {"eps", 1e-3}},
                          Options{{"track_running_stats", true}, {"momentum", 0.3}},
                          Options{{"affine", true}, {"track_running_stats", true}}}) {
    variant.set("num_features", input[1]);
    row.samples.push_back({variant, input});
  }
  return row;
}

}  // namespace

LayerRow instance_norm1d_row() {
  return row_of<InstanceNorm1d>("InstanceNorm1d", "[N, C, L]", {2, 3, 5});
}
LayerRow instance_norm2d_row() {
  return row_of<InstanceNorm2d>("InstanceNorm2d", "[N, C, H, W]", {2, 3, 3, 2});
}
LayerRow instance_norm3d_row() {
  return row_of<InstanceNorm3d>("InstanceNorm3d", "[N, C, D, H, W]", {2, 3, 2, 1, 3});
}

}  // namespace evenkeel::nn
