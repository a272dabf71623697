#include <evenkeel/core/memory.h>
#include <evenkeel/nn/layers/batch_norm.h>

#include <cmath>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/rows.h"

namespace evenkeel::nn {
namespace {

/// Memory from the caching allocator, as the bytes that the operators ask for.
struct Bytes {
  std::shared_ptr<std::byte> owner;
  std::span<std::byte> span;

  explicit Bytes(std::size_t size) : owner(allocate(size)), span(owner.get(), size) {}
};

void check_momentum(const std::optional<double>& momentum, const char* name) {
  if (momentum && !(*momentum >= 0 && *momentum <= 1)) {
    fail<UsageError>("[BatchNorm] expected {} from 0 to 1, got {}", name, *momentum);
  }
}

BatchNormOptions settled(BatchNormOptions options) {
  check_momentum(options.momentum, "momentum");
  check_momentum(options.decay, "decay");
  if (options.decay && !options.momentum) {
    fail<UsageError>("[BatchNorm] decay and the cumulative average exclude each other");
  }
  if (options.decay) options.momentum = 1 - *options.decay;
  options.decay.reset();
  return options;
}

std::string_view name_of(norm::Activation activation) {
  switch (activation) {
    case norm::Activation::none:
      return "none";
    case norm::Activation::relu:
      return "ReLU";
    case norm::Activation::leaky_relu:
      break;
  }
  return "LeakyReLU";
}

}  // namespace

BatchNorm::BatchNorm(std::int64_t channels, int min_rank, int max_rank, BatchNormOptions options)
    : channels_(channels), min_rank_(min_rank), max_rank_(max_rank), settings_(settled(options)) {
  if (channels < 1) {
    fail<UsageError>("[BatchNorm] expected at least one channel, got {}", channels);
  }
  if (!(settings_.eps >= 0) || !std::isfinite(settings_.eps)) {
    fail<UsageError>("[BatchNorm] expected eps of 0 or more, got {}; 1e-5 is usual", settings_.eps);
  }
  if (settings_.affine) {
    weight_ = register_parameter("weight", {channels}, ParameterKind::norm_scale);
    bias_ = register_parameter("bias", {channels}, ParameterKind::norm_shift);
    parameter(weight_).value.fill(1);
  }
  if (settings_.track_running_stats) {
    mean_ = register_buffer("running_mean", Tensor::zeros({channels}, DType::f64));
    var_ = register_buffer("running_var", Tensor::full({channels}, 1, DType::f64));
    batches_ = register_buffer("num_batches_tracked", Tensor::zeros(Shape{}, DType::i64));
  }
}

Options BatchNorm::options() const {
  Options result{{"num_features", channels_},
                 {"eps", settings_.eps},
                 {"affine", settings_.affine},
                 {"track_running_stats", settings_.track_running_stats},
                 {"unbiased", settings_.unbiased}};
  if (settings_.momentum) {
    result.set("momentum", *settings_.momentum);
  } else {
    result.set("cumulative", true);
  }
  return result;
}

void BatchNorm::reset_parameters(Random& /*random*/) {
  if (settings_.affine) {
    parameter(weight_).value.fill(1);
    parameter(bias_).value.fill(0);
  }
  reset_running_stats();
}

void BatchNorm::reset_running_stats() {
  if (!settings_.track_running_stats) return;
  buffer(mean_).fill(0);
  buffer(var_).fill(1);
  buffer(batches_).fill(0);
}

void BatchNorm::set_momentum(std::optional<double> momentum) {
  check_momentum(momentum, "momentum");
  settings_.momentum = momentum;
}

void BatchNorm::freeze(bool affine_too) {
  if (!settings_.track_running_stats) {
    fail<UsageError>("[{}] there are no running statistics to freeze", label());
  }
  frozen_ = true;
  if (affine_too && settings_.affine) {
    parameter(weight_).trainable = false;
    parameter(bias_).trainable = false;
    affine_frozen_ = true;
  }
}

void BatchNorm::unfreeze() {
  frozen_ = false;
  if (affine_frozen_) {
    parameter(weight_).trainable = true;
    parameter(bias_).trainable = true;
    affine_frozen_ = false;
  }
}

void BatchNorm::fuse_activation(norm::Activation activation, double slope) {
  activation_ = activation;
  slope_ = slope;
}

std::string BatchNorm::fusion_note() const {
  std::string note;
  if (joined_) note = "sum";
  if (activation_ != norm::Activation::none) {
    if (!note.empty()) note += " + ";
    note += name_of(activation_);
  }
  return note.empty() ? note : "with " + note;
}

void BatchNorm::check(const Shape& input) const {
  if (input.rank() < min_rank_ || input.rank() > max_rank_) {
    const char* wanted = min_rank_ == 2   ? "[N, C] or [N, C, L]"
                         : min_rank_ == 4 ? "[N, C, H, W]"
                                          : "[N, C, D, H, W]";
    fail<ShapeError>("[{}] expected {}, got {}; BatchNorm1d, 2d and 3d differ in this", label(),
                     wanted, input.str());
  }
  if (input[1] != channels_) {
    fail<ShapeError>("[{}] expected {} channels in dimension 1, got {}; build it for {}", label(),
                     channels_, input.str(), input[1]);
  }
}

Shape BatchNorm::output_shape(const Shape& input) const {
  check(input);
  return input;
}

norm::Affine BatchNorm::affine() const {
  if (!settings_.affine) return {};
  return {norm::ConstVectorView(parameter(weight_).value),
          norm::ConstVectorView(parameter(bias_).value)};
}

norm::Epilogue BatchNorm::epilogue(const Tensor& addend) const {
  norm::Epilogue result{activation_, slope_, std::nullopt};
  if (addend.defined()) result.add = norm::view(addend);
  return result;
}

Tensor BatchNorm::forward(const Tensor& x) {
  // Whatever happens, the addend is of this call alone.
  const Tensor addend = std::exchange(addend_, {}).to(x.layout());
  check(x.shape());
  if (settings_.affine) expect_dtype(*this, x, parameter(weight_));
  const bool batch = training_ ? !frozen_ : !settings_.track_running_stats;
  if (batch && x.numel() == channels_) {
    fail<ShapeError>(
        "[{}] expected more than one value per channel when training, got input {}; use eval(), a "
        "larger batch, or drop_last",
        label(), x.shape().str());
  }
  return batch ? forward_batch(x, addend) : forward_running(x, addend);
}

Tensor BatchNorm::forward_batch(const Tensor& x, const Tensor& addend) {
  const norm::ConstChannelView in = norm::view(x);
  const norm::Epilogue after = epilogue(addend);
  Bytes memory(norm::state_size(in, after));
  const Bytes workspace(norm::workspace_size(in));
  norm::BatchNormState state = norm::bind_state(memory.span, in, after);
  Tensor y = Tensor::like(x);
  const bool update = settings_.track_running_stats && training_;
  norm::RunningStats running;
  if (update) {
    running.mean = buffer(mean_).span<double>();
    running.var = buffer(var_).span<double>();
    running.batches = buffer(batches_).data<std::int64_t>();
    running.momentum = settings_.momentum;
    running.unbiased = settings_.unbiased;
    running.refuse_non_finite = settings_.guard;
  }
  const bool folded = norm::forward_train(in, affine(), settings_.eps, update ? &running : nullptr,
                                          after, norm::view(y), state, workspace.span);
  if (!folded) ++refused_;
  if (recording()) {
    saved_.push({x, memory.owner, memory.span.size(), true, after.add.has_value(), activation_});
  }
  return y;
}

Tensor BatchNorm::forward_running(const Tensor& x, const Tensor& addend) {
  const norm::ConstChannelView in = norm::view(x);
  const norm::Epilogue after = epilogue(addend);
  const Bytes workspace(norm::workspace_size(in));
  const auto mean = std::as_const(*this).buffer(mean_).span<double>();
  const auto var = std::as_const(*this).buffer(var_).span<double>();
  Tensor y = Tensor::like(x);
  if (!recording()) {
    norm::forward_infer(in, affine(), settings_.eps, mean, var, after, norm::view(y), nullptr,
                        workspace.span);
    return y;
  }
  Bytes memory(norm::state_size(in, after));
  norm::BatchNormState state = norm::bind_state(memory.span, in, after);
  norm::forward_infer(in, affine(), settings_.eps, mean, var, after, norm::view(y), &state,
                      workspace.span);
  saved_.push({x, memory.owner, memory.span.size(), false, after.add.has_value(), activation_});
  return y;
}

Tensor BatchNorm::backward(const Tensor& dy) {
  const Saved saved = saved_.pop(*this);
  const Tensor& x = saved.x;
  const Tensor gradient = expect_gradient(*this, dy, x.shape(), x.dtype(), x.layout());
  const norm::ConstChannelView in = norm::view(x);
  const norm::Epilogue after{saved.activation, slope_, std::nullopt};
  const Bytes workspace(norm::workspace_size(in));
  const norm::BatchNormState state =
      norm::bind_state({saved.memory.get(), saved.bytes}, in, after);
  Tensor dx = Tensor::like(x);
  std::optional<norm::ChannelView> dadd;
  if (saved.added) {
    addend_gradient_ = Tensor::like(x);
    dadd = norm::view(addend_gradient_);
  }
  norm::VectorView dgamma, dbeta;
  if (settings_.affine) {
    dgamma = norm::VectorView(parameter(weight_).grad);
    dbeta = norm::VectorView(parameter(bias_).grad);
  }
  const auto run = saved.batch_statistics ? norm::backward_train : norm::backward_infer;
  run(in, norm::view(gradient), affine(), state, after, norm::view(dx), dgamma, dbeta, dadd,
      workspace.span);
  return dx;
}

namespace {

template <class Layer>
LayerRow row_of(std::string name, std::string shape, std::vector<Shape> inputs) {
  LayerRow row;
  row.name = std::move(name);
  row.help = "batch normalization of " + shape +
             ": num_features, eps, momentum or decay or cumulative, affine, track_running_stats, "
             "unbiased";
  row.make = [label = row.name](const Options& options) -> std::unique_ptr<Module> {
    BatchNormOptions settings;
    settings.eps = options.get("eps", settings.eps);
    settings.momentum = options.get("momentum", *settings.momentum);
    if (options.get("cumulative", false)) settings.momentum.reset();
    if (options.contains("decay")) settings.decay = options.get("decay", 0.9);
    settings.affine = options.get("affine", true);
    settings.track_running_stats = options.get("track_running_stats", true);
    settings.unbiased = options.get("unbiased", true);
    return std::make_unique<Layer>(options.require_int("num_features", label), settings);
  };
  const std::vector<Options> variants{{},
                                      {{"momentum", 0.3}, {"eps", 1e-3}},
                                      {{"cumulative", true}, {"unbiased", false}},
                                      {{"affine", false}},
                                      {{"track_running_stats", false}}};
  for (const Shape& input : inputs) {
    for (Options variant : variants) {
      variant.set("num_features", input[1]);
      row.samples.push_back({variant, input});
    }
  }
  return row;
}

}  // namespace

LayerRow batch_norm1d_row() {
  return row_of<BatchNorm1d>("BatchNorm1d", "[N, C] or [N, C, L]", {{5, 3}, {3, 2, 4}});
}
LayerRow batch_norm2d_row() {
  return row_of<BatchNorm2d>("BatchNorm2d", "[N, C, H, W]", {{2, 3, 3, 2}});
}
LayerRow batch_norm3d_row() {
  return row_of<BatchNorm3d>("BatchNorm3d", "[N, C, D, H, W]", {{2, 3, 2, 1, 3}});
}

}  // namespace evenkeel::nn
