// A body with a connection past it.
#pragma once

#include <optional>

#include <evenkeel/nn/layers/container.h>
#include <evenkeel/ops/activation.h>

namespace evenkeel::nn {

/// y = activation(body(x) + shortcut(x)), with the identity where there is no shortcut and without
/// an activation where none is given. Children: "body" and, if there is one, "shortcut".
///
///     Residual(Sequential{Conv2d(64, 64, 3, {.padding = 1}), BatchNorm2d(64)},
///     ops::ActivationKind::relu)
class Residual : public Cloneable<Residual, Container> {
 public:
  using Kind = ops::ActivationKind;

  /// A null shortcut is the identity; the slope is of leaky_relu. Throws UsageError for a null body
  /// and for a slope that is not above 0.
  explicit Residual(std::unique_ptr<Module> body, std::unique_ptr<Module> shortcut = nullptr,
                    std::optional<Kind> activation = std::nullopt, double slope = 0.01);
  template <Layer Body>
  requires ChildrenOf<Residual, Body>
  explicit Residual(Body&& body, std::optional<Kind> activation = std::nullopt, double slope = 0.01)
      : Residual(to_owned(std::forward<Body>(body)), nullptr, activation, slope) {}
  template <Layer Body, Layer Shortcut>
  Residual(Body&& body, Shortcut&& shortcut, std::optional<Kind> activation = std::nullopt,
           double slope = 0.01)
      : Residual(to_owned(std::forward<Body>(body)), to_owned(std::forward<Shortcut>(shortcut)),
                 activation, slope) {}

  Module& body() { return child(0); }
  bool has_shortcut() const { return child_count() > 1; }
  /// Throws UsageError where it is the identity.
  Module& shortcut();
  std::optional<Kind> activation() const { return activation_; }
  /// The factor for negative sums; leaky_relu's alone has an effect.
  double slope() const { return slope_; }

  /// Hands the sum, and a ReLU or LeakyReLU after it, to the batch norm or the folded convolution
  /// at the end of the body, which does them in its own pass over memory. Returns whether there was
  /// one (and the activation is none or one of these). Forgets what was saved for backward.
  bool join();
  /// Takes join() back: the sum and the activation are its own again. What a folded convolution
  /// does stays with it.
  void separate();
  /// Whether the body's last layer does the sum.
  bool joined() const { return joined_; }
  std::string fusion_note() const override;

  std::string_view type() const override { return "Residual"; }
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  std::vector<Shape> child_inputs(const Shape& input) const override;
  void expect_forward() override;
  void set_needs_input_gradient(bool on) override;

 protected:
  Tensor run_forward(Tensor x) override;
  Tensor run_backward(Tensor dy) override;

 private:
  SavedBase* own_saved() override { return activation_ && !joined_ ? &saved_ : nullptr; }

  std::optional<Kind> activation_;
  double slope_;
  bool joined_ = false;
  SavedStack<Tensor> saved_;  // y, where there is an activation
};

}  // namespace evenkeel::nn
