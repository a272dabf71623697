#include "nn/layers/checks.h"
#include "nn/layers/row_pass.h"
#include "nn/layers/rows.h"
#include <evenkeel/nn/layers/group_norm.h>

namespace evenkeel::nn {

GroupNorm::GroupNorm(std::int64_t num_groups, std::int64_t num_channels, GroupNormOptions options)
    : groups_(num_groups), channels_(num_channels), settings_(options) {
  expect_at_least("GroupNorm", "num_groups", groups_, 1);
  expect_at_least("GroupNorm", "num_channels", channels_, 1);
  if (channels_ % groups_ != 0) {
    fail<UsageError>(
        "[GroupNorm] expected num_channels divisible by num_groups, got {} and {}; choose a "
        "divisor "
        "of {} as num_groups",
        channels_, groups_, channels_);
  }
  expect_eps("GroupNorm", settings_.eps);
  if (!settings_.affine) return;
  weight_ = register_parameter("weight", {channels_}, ParameterKind::norm_scale);
  bias_ = register_parameter("bias", {channels_}, ParameterKind::norm_shift);
  parameter(weight_).value.fill(1);
}

Options GroupNorm::options() const {
  return {{"num_groups", groups_},
          {"num_channels", channels_},
          {"eps", settings_.eps},
          {"affine", settings_.affine}};
}

std::string GroupNorm::mode_note() const {
  const std::int64_t each = channels_ / groups_;
  return fmt::format("{} group{} of {} channel{}", groups_, groups_ == 1 ? "" : "s", each,
                     each == 1 ? "" : "s");
}

Shape GroupNorm::output_shape(const Shape& input) const {
  if (input.rank() < 2) {
    fail<ShapeError>(
        "[{}] expected [N, {}, spatial...], got {}; give it a batch, [1, {}] for one "
        "sample",
        label(), channels_, input.str(), channels_);
  }
  if (input[1] != channels_) {
    fail<ShapeError>("[{}] expected {} channels in dimension 1, got {}; build it for {}", label(),
                     channels_, input.str(), input[1]);
  }
  return input;
}

Tensor GroupNorm::forward(const Tensor& x) {
  output_shape(x.shape());
  if (settings_.affine) expect_dtype(*this, x, parameter(weight_));
  if (x.numel() == groups_) {
    fail<ShapeError>(
        "[{}] expected more than one value per group, got {} in {} groups; use fewer groups or a "
        "larger batch",
        label(), x.shape().str(), groups_);
  }
  norm::Affine affine;
  if (settings_.affine) {
    affine = {norm::ConstVectorView(parameter(weight_).value),
              norm::ConstVectorView(parameter(bias_).value)};
  }
  SavedRows saved;
  Tensor y = forward_rows(x, norm::group_view(norm::view(x), groups_), affine, {settings_.eps},
                          recording() ? &saved : nullptr);
  if (recording()) saved_.push(std::move(saved));
  return y;
}

Tensor GroupNorm::backward(const Tensor& dy) {
  const SavedRows& saved = saved_.top(*this);
  const Tensor& x = saved.x;
  const Tensor gradient = expect_gradient(*this, dy, x.shape(), x.dtype(), x.layout());
  norm::Affine affine;
  norm::VectorView dgamma, dbeta;
  if (settings_.affine) {
    affine.gamma = norm::ConstVectorView(parameter(weight_).value);
    dgamma = norm::VectorView(parameter(weight_).grad);
    dbeta = norm::VectorView(parameter(bias_).grad);
  }
  Tensor dx = backward_rows(saved, gradient, affine, norm::Centre::mean, dgamma, dbeta);
  saved_.pop();
  return dx;
}

void GroupNorm::reset_parameters(Random& /*random*/) {
  if (!settings_.affine) return;
  parameter(weight_).value.fill(1);
  parameter(bias_).value.fill(0);
}

LayerRow group_norm_row() {
  LayerRow row;
  row.name = "GroupNorm";
  row.help =
      "normalization of groups of channels of each sample: num_groups, num_channels, eps, affine";
  row.make = [](const Options& options) -> std::unique_ptr<Module> {
    GroupNormOptions settings;
    settings.eps = options.get("eps", settings.eps);
    settings.affine = options.get("affine", true);
    const std::int64_t groups = options.require_int("num_groups", "GroupNorm");
    const std::int64_t channels = options.require_int("num_channels", "GroupNorm");
    return std::make_unique<GroupNorm>(groups, channels, settings);
  };
  struct Form {
    std::int64_t groups;
    Shape input;
  };
  for (const Form& form : {Form{2, {3, 6}}, Form{3, {2, 6, 4}}, Form{1, {2, 4, 3, 2}},
                           Form{4, {2, 4, 3, 2}}, Form{2, {2, 4, 2, 1, 2}}}) {
    for (Options options : {Options{}, Options{{"eps", 1e-2}}, Options{{"affine", false}}}) {
      options.set("num_groups", form.groups);
      options.set("num_channels", form.input[1]);
      row.samples.push_back({options, form.input});
    }
  }
  return row;
}

}  // namespace evenkeel::nn
