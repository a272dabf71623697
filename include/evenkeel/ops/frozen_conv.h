// Convolution for inference: a weight that no longer changes, and what follows it in the same pass.
#pragma once

#include <memory>
#include <optional>

#include <evenkeel/ops/activation.h>
#include <evenkeel/ops/conv.h>

namespace evenkeel::ops {

/// The activation behind a convolution: relu or leaky_relu, which a convolution can do itself.
struct ConvActivation {
  ActivationKind kind = ActivationKind::relu;
  double slope = 0.01;  ///< of leaky_relu, above 0
};

/// y = activation(convolution of x + bias + addend). Shapes, dtypes and layouts as in conv.h. The
/// weight is brought once into the format that the processor wants and kept in it, so that a call
/// does not begin with that; values change no more than rounding from those of conv_forward and the
/// operators after it, but relu may give 0 for NaN, as oneDNN's does. f32 and bf16 run through
/// oneDNN with everything in one pass, f64 through plain loops. Several threads may call forward of
/// one object.
class FrozenConv {
 public:
  /// Shares the memory of weight and bias (undefined: none), which must not change any more. Throws
  /// ShapeError where they do not fit each other, UsageError for another activation or slope.
  FrozenConv(Tensor weight, Tensor bias, const ConvOptions& options,
             std::optional<ConvActivation> activation = std::nullopt);
  ~FrozenConv();
  FrozenConv(FrozenConv&&) noexcept;
  FrozenConv& operator=(FrozenConv&&) noexcept;

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }
  const ConvOptions& options() const { return options_; }
  const std::optional<ConvActivation>& activation() const { return activation_; }

  /// Overwrites y. The addend, like y, may be undefined, or y itself, which it is then added into.
  /// Errors as conv_forward's, before anything is written.
  void forward(const Tensor& x, const Tensor& addend, Tensor& y) const;

 private:
  struct Prepared;

  Tensor weight_, bias_;
  ConvOptions options_;
  std::optional<ConvActivation> activation_;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace evenkeel::ops
