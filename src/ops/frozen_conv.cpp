#include <cmath>
#include <utility>

#include "ops/check.h"
#include "ops/conv_checks.h"
#include "ops/onednn/conv.h"
#include <evenkeel/core/error.h>
#include <evenkeel/ops/elementwise.h>
#include <evenkeel/ops/frozen_conv.h>

namespace evenkeel::ops {
namespace {

constexpr const char* kName = "frozen_conv";

onednn::ConvPost post_of(const std::optional<ConvActivation>& activation, const Tensor& addend,
                         const Tensor& y) {
  using Post = onednn::ConvPost;
  Post post;
  if (addend.defined()) {
    const bool into = addend.raw() == y.raw();
    post.add = into ? Post::Add::into : Post::Add::apart;
  }
  if (activation) {
    const bool relu = activation->kind == ActivationKind::relu;
    post.activation = relu ? Post::Activation::relu : Post::Activation::leaky_relu;
    post.slope = relu ? 0.0F : static_cast<float>(activation->slope);
  }
  return post;
}

}  // namespace

/// The weight in f32, in the formats of the processor.
struct FrozenConv::Prepared {
  onednn::KeptWeight weight;
  explicit Prepared(const Tensor& given) : weight(given.data<float>()) {}
};

FrozenConv::FrozenConv(Tensor weight, Tensor bias, const ConvOptions& options,
                       std::optional<ConvActivation> activation)
    : weight_(std::move(weight)),
      bias_(std::move(bias)),
      options_(options),
      activation_(activation) {
  detail::check_float(kName, "weight", weight_);
  detail::check_weight(kName, "weight", weight_, weight_);
  if (bias_.defined()) detail::check_is(kName, "bias", bias_, Shape{weight_.dim(0)}, weight_);
  if (activation_) {
    const ActivationKind kind = activation_->kind;
    if (kind != ActivationKind::relu && kind != ActivationKind::leaky_relu) {
      fail<UsageError>("[{}] expected relu or leaky_relu after the convolution", kName);
    }
    const double slope = activation_->slope;
    if (kind == ActivationKind::leaky_relu && (!(slope > 0) || !std::isfinite(slope))) {
      fail<UsageError>("[{}] expected a slope above 0, got {}", kName, slope);
    }
  }
  if (weight_.dtype() == DType::f32) prepared_ = std::make_unique<Prepared>(weight_);
}

FrozenConv::~FrozenConv() = default;
FrozenConv::FrozenConv(FrozenConv&&) noexcept = default;
FrozenConv& FrozenConv::operator=(FrozenConv&&) noexcept = default;

void FrozenConv::forward(const Tensor& x, const Tensor& addend, Tensor& y) const {
  detail::check_stored(kName, "x", x);
  const auto g = detail::geometry_of(kName, x, weight_.shape(), options_);
  detail::check_weight(kName, "weight", weight_, x);
  const Shape shape = detail::output_shape(x.shape(), g);
  detail::check_is_laid_out(kName, "y", y, shape, x);
  detail::check_apart(kName, {"y", y}, {{"x", x}, {"weight", weight_}, {"bias", bias_}});
  if (addend.defined()) {
    detail::check_is_laid_out(kName, "addend", addend, shape, x);
    detail::check_in_place_or_apart(kName, {"y", y}, {{"addend", addend}});
  }
  if (g.samples == 0) return;
  const bool prepared = prepared_ != nullptr && !detail::widens(g);
  if (prepared) {
    const onednn::ConvPost post = post_of(activation_, addend, y);
    const float* const bias = bias_.defined() ? bias_.data<float>() : nullptr;
    const bool apart = post.add == onednn::ConvPost::Add::apart;
    if (onednn::conv_frozen(g, x.raw(), prepared_->weight, bias, post,
                            apart ? addend.raw() : nullptr, y.raw())) {
      return;
    }
  }
  Tensor result = addend.defined() ? Tensor::like(y) : y;
  const float* const bias = bias_.defined() && prepared ? bias_.data<float>() : nullptr;
  if (!prepared ||
      !onednn::conv_frozen(g, x.raw(), prepared_->weight, bias, {}, nullptr, result.raw())) {
    conv_forward(x, weight_, bias_, options_, result);
  }
  if (addend.defined()) add(result, addend, y);
  if (activation_) activation_forward(activation_->kind, y, y, activation_->slope);
}

}  // namespace evenkeel::ops
