// Backward of batch norm, as its forward was: batch_norm_run.cpp.
#include <utility>

#include "nn/layers/batch_norm_saved.h"
#include "nn/layers/checks.h"

namespace evenkeel::nn {

Tensor BatchNorm::backward_in_place(Tensor dy) {
  const std::shared_ptr<const Saved> saved = saved_.top(*this);
  Tensor gradient = expect_gradient(*this, dy, saved->shape, saved->x.dtype(), saved->layout);
  dy = Tensor();
  Tensor dx = saved->rows != nullptr       ? backward_valid(*saved, gradient)
              : saved->recovery != nullptr ? backward_recovered(*saved, std::move(gradient))
                                           : backward_all(*saved, std::move(gradient));
  saved_.pop();
  return dx;
}

Tensor BatchNorm::backward_all(const Saved& saved, Tensor dy) {
  Tensor dx = dy.unique() ? dy : Tensor::like(saved.x);
  Tensor addend_gradient;
  if (saved.added) addend_gradient = Tensor::like(saved.x);
  run_back(saved, dy, dx, addend_gradient);
  addend_gradient_ = std::move(addend_gradient);
  return dx;
}

/// Of y, which nobody needs any more once there is dx, unless others have it too.
Tensor BatchNorm::backward_recovered(const Saved& saved, Tensor dy) {
  const bool own = saved.x.unique();
  const norm::Epilogue epilogue = saved.epilogue();
  const bool in_place = dy.unique();
  Tensor dx = in_place ? dy : own ? saved.x : Tensor::like(saved.x);
  Tensor z = own ? saved.x : dx;
  if (in_place && !own && saved.recovery->rewrites(epilogue)) z = Tensor::like(saved.x);
  const Bytes scratch(saved.most(
      [&](const norm::ConstChannelView& in) { return Recovery::scratch_size(in, epilogue); }));
  const Bytes workspace(saved.sizes().second);
  Recovery::Part part;
  norm::ConstVectorView gamma;
  if (settings_.affine) {
    gamma = affine().gamma;
    part.dgamma = norm::VectorView(parameter(weight_).grad);
    part.dbeta = norm::VectorView(parameter(bias_).grad);
  }
  part.constant = saved.statistics == Statistics::running;
  saved.for_each_part([&](std::int64_t begin, std::int64_t end, const norm::BatchNormState& state,
                          const Correction& /*none*/) {
    part.begin = begin;
    part.y = slice(norm::view(saved.x), begin, end);
    part.z = slice(norm::view(z), begin, end);
    part.dy = slice(norm::view(std::as_const(dy)), begin, end);
    part.dx = slice(norm::view(dx), begin, end);
    part.mean = state.mean;
    part.var = state.var;
    part.inv_std = state.inv_std;
    saved.recovery->backward(part, gamma, epilogue, scratch.span, workspace.span);
  });
  return dx;
}

Tensor BatchNorm::backward_valid(const Saved& saved, const Tensor& dy) {
  Tensor gradient = dy;
  if (saved.activation != norm::Activation::none) {
    gradient = Tensor::like(dy);
    ops::activation_backward(kind_of(saved.activation), saved.y, dy, gradient, saved.slope);
  }
  Tensor packed = saved.rows->gather(gradient);
  Tensor dx = Tensor::like(dy);
  Tensor none;
  run_back(saved, packed, packed, none);
  saved.rows->scatter_into(packed, dx);
  if (saved.added) addend_gradient_ = std::move(gradient);
  return dx;
}

/// Overwrites dx, which may be dy, and the gradient of the addend where there is room for it.
void BatchNorm::run_back(const Saved& saved, const Tensor& dy, Tensor& dx,
                         Tensor& addend_gradient) {
  const Bytes workspace(saved.sizes().second);
  Bytes scratch;
  if (saved.statistics == Statistics::renormalized) {
    scratch = Bytes(3 * static_cast<std::size_t>(channels_) * sizeof(double));
  }
  std::optional<norm::ChannelView> dadd_all;
  if (addend_gradient.defined()) dadd_all = norm::view(addend_gradient);
  norm::VectorView dgamma, dbeta;
  if (settings_.affine) {
    dgamma = norm::VectorView(parameter(weight_).grad);
    dbeta = norm::VectorView(parameter(bias_).grad);
  }
  const norm::Epilogue epilogue = saved.epilogue();
  saved.for_each_part([&](std::int64_t begin, std::int64_t end, norm::BatchNormState& state,
                          const Correction& correction) {
    const auto in = slice(norm::view(saved.x), begin, end);
    const auto upstream = slice(norm::view(dy), begin, end);
    const auto out = slice(norm::view(dx), begin, end);
    std::optional<norm::ChannelView> dadd;
    if (dadd_all) dadd = slice(*dadd_all, begin, end);
    if (saved.statistics == Statistics::renormalized) {
      renorm_backward(in, upstream, affine(), epilogue, out, dgamma, dbeta, dadd,
                      {state, correction, scratch.doubles(), workspace.span});
      return;
    }
    const auto back =
        saved.statistics == Statistics::running ? norm::backward_infer : norm::backward_train;
    back(in, upstream, affine(), state, epilogue, out, dgamma, dbeta, dadd, workspace.span);
  });
}

}  // namespace evenkeel::nn
