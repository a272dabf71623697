// What a batch norm layer is: its options, state and mode. batch_norm_run.cpp has forward,
// batch_norm_back.cpp backward, batch_norm_row.cpp its place in the layer table.
#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/layers/checks.h"
#include "nn/layers/momentum_options.h"
#include <evenkeel/nn/layers/batch_norm.h>

namespace evenkeel::nn {
namespace {

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
  if (!(options.eps >= 0) || !std::isfinite(options.eps)) {
    fail<UsageError>("[BatchNorm] expected eps of 0 or more, got {}; 1e-5 is usual", options.eps);
  }
  expect_at_least("BatchNorm", "ghost_size", options.ghost_size, 0);
  if (options.small_batch == SmallBatch::running_stats && !options.track_running_stats) {
    fail<UsageError>(
        "[BatchNorm] small_batch = running_stats needs running statistics; switch "
        "track_running_stats on, or leave small_batch at error");
  }
  return options;
}

void check_renorm(const RenormOptions& options, bool tracked) {
  if (!(options.r_max >= 1) || !std::isfinite(options.r_max)) {
    fail<UsageError>("[BatchRenorm] expected r_max of 1 or more, got {}; 3 is usual",
                     options.r_max);
  }
  if (!(options.d_max >= 0) || !std::isfinite(options.d_max)) {
    fail<UsageError>("[BatchRenorm] expected d_max of 0 or more, got {}; 5 is usual",
                     options.d_max);
  }
  expect_at_least("BatchRenorm", "ramp_begin", options.ramp_begin, 0);
  expect_at_least("BatchRenorm", "ramp_end", options.ramp_end, options.ramp_begin);
  if (!tracked) {
    fail<UsageError>(
        "[BatchRenorm] expected running statistics, which r and d are made from; switch "
        "track_running_stats on, or use BatchNorm");
  }
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

bool holds_statistics(Freeze freeze) {
  return freeze == Freeze::statistics || freeze == Freeze::all;
}
bool holds_affine(Freeze freeze) { return freeze == Freeze::affine || freeze == Freeze::all; }

}  // namespace

std::string_view name_of(Freeze freeze) {
  switch (freeze) {
    case Freeze::none:
      return "none";
    case Freeze::statistics:
      return "statistics";
    case Freeze::affine:
      return "affine";
    case Freeze::all:
      break;
  }
  return "all";
}

std::string_view name_of(SmallBatch policy) {
  return policy == SmallBatch::error ? "error" : "running_stats";
}

BatchNorm::BatchNorm(std::int64_t channels, int min_rank, int max_rank, BatchNormOptions options,
                     std::optional<RenormOptions> renorm)
    : channels_(channels),
      min_rank_(min_rank),
      max_rank_(max_rank),
      settings_(settled(options)),
      renorm_(renorm) {
  if (channels < 1) {
    fail<UsageError>("[BatchNorm] expected at least one channel, got {}", channels);
  }
  if (renorm_) check_renorm(*renorm_, settings_.track_running_stats);
  set_in_place(settings_.in_place);
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
  check_freezable(settings_.freeze, "BatchNorm");
  hold(settings_.freeze);
}

Options BatchNorm::options() const {
  Options result{{"num_features", channels_},
                 {"eps", settings_.eps},
                 {"affine", settings_.affine},
                 {"track_running_stats", settings_.track_running_stats},
                 {"unbiased", settings_.unbiased}};
  put_momentum(settings_.momentum, result);
  if (settings_.ghost_size > 0) result.set("ghost_size", settings_.ghost_size);
  if (settings_.small_batch != SmallBatch::error) {
    result.set("small_batch", std::string(nn::name_of(settings_.small_batch)));
  }
  if (settings_.freeze != Freeze::none) {
    result.set("freeze", std::string(nn::name_of(settings_.freeze)));
  }
  if (settings_.in_place) result.set("in_place", true);
  if (renorm_) {
    result.set("r_max", renorm_->r_max);
    result.set("d_max", renorm_->d_max);
    result.set("ramp_begin", renorm_->ramp_begin);
    result.set("ramp_end", renorm_->ramp_end);
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

void BatchNorm::set_in_place(bool on) {
  if (on && renorm_) {
    fail<UsageError>(
        "[BatchRenorm] in_place is for batch norm, whose result gives its input back; leave it "
        "out");
  }
  settings_.in_place = on;
}

void BatchNorm::expect_freezable(Freeze what) const { check_freezable(what, label()); }

void BatchNorm::check_freezable(Freeze what, const std::string& name) const {
  if (what == Freeze::all && (settings_.affine || settings_.track_running_stats)) return;
  if (holds_statistics(what) && !settings_.track_running_stats) {
    fail<UsageError>("[{}] there are no running statistics to freeze", name);
  }
  if (holds_affine(what) && !settings_.affine) {
    fail<UsageError>("[{}] there are no gamma and beta to freeze", name);
  }
}

void BatchNorm::freeze(Freeze what) {
  expect_freezable(what);
  hold(what);
}

void BatchNorm::hold(Freeze what) {
  settings_.freeze = what;
  const bool affine_too = holds_affine(what) && settings_.affine;
  if (affine_too == affine_frozen_) return;
  parameter(weight_).trainable = !affine_too;
  parameter(bias_).trainable = !affine_too;
  affine_frozen_ = affine_too;
}

bool BatchNorm::statistics_held() const {
  return holds_statistics(settings_.freeze) && settings_.track_running_stats;
}

std::int64_t BatchNorm::least_samples() const {
  const bool asked = !statistics_held() && settings_.small_batch == SmallBatch::error;
  return asked ? std::max<std::int64_t>(settings_.ghost_size, 1) : 1;
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

std::string BatchNorm::mode_note() const {
  std::string note;
  const auto add = [&note](const std::string& part) { note += (note.empty() ? "" : ", ") + part; };
  if (settings_.ghost_size > 0) add(fmt::format("virtual batches of {}", settings_.ghost_size));
  if (settings_.in_place) add("in place");
  if (statistics_held()) add("running statistics fixed");
  if (holds_affine(settings_.freeze) && settings_.affine) add("gamma and beta fixed");
  return note;
}

void BatchNorm::check(const Shape& input) const {
  if (input.rank() < min_rank_ || input.rank() > max_rank_) {
    const char* wanted = min_rank_ == 2   ? "[N, C] or [N, C, L]"
                         : min_rank_ == 4 ? "[N, C, H, W]"
                                          : "[N, C, D, H, W]";
    const std::string_view kind = renorm_ ? "BatchRenorm" : "BatchNorm";
    fail<ShapeError>("[{}] expected {}, got {}; {}1d, 2d and 3d differ in this", label(), wanted,
                     input.str(), kind);
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

norm::RunningStats BatchNorm::running_stats() {
  norm::RunningStats running;
  running.mean = buffer(mean_).span<double>();
  running.var = buffer(var_).span<double>();
  running.batches = buffer(batches_).data<std::int64_t>();
  running.momentum = settings_.momentum;
  running.unbiased = settings_.unbiased;
  running.refuse_non_finite = settings_.guard;
  return running;
}

}  // namespace evenkeel::nn
