// A convolution that has taken its batch norm, and more, into itself.
#pragma once

#include <memory>
#include <string>

#include <evenkeel/nn/layers/addend.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/ops/frozen_conv.h>

namespace evenkeel::nn {

/// For inference alone: y = activation(convolution of x + bias + addend) in one pass, the weight in
/// the format that the processor wants. x [N, C, L], [N, C, H, W] or [N, C, D, H, W] in either
/// layout, of the weight's dtype; y is channels last, which is fastest, so that the layers after it
/// need no conversion. fold() puts it into networks. It has no parameters any more: the weight
/// stays as it is. Copies share it. A forward in training mode, and backward, are StateErrors.
class FoldedConv : public Cloneable<FoldedConv>, public TakesAddend {
 public:
  /// Of the batch norm that it has taken in.
  struct Norm {
    bool folded = true;  ///< there was one
    bool sequences =
        false;  ///< its steps beyond the lengths (set_lengths) are zero, as BatchNorm1d's
  };

  /// Shares the memory of weight and bias, which must not change any more.
  explicit FoldedConv(std::shared_ptr<const ops::FrozenConv> conv, Norm norm);

  std::string_view type() const override { return "FoldedConv"; }
  Options options() const override;
  std::string fusion_note() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;

  const ops::FrozenConv& conv() const { return *conv_; }
  const Norm& norm() const { return norm_; }
  /// Appends an activation.
  void set_activation(const ops::ConvActivation& activation);
  void set_addend(Tensor other) override { addend_ = std::move(other); }
  /// Whether a container gives every forward an addend; shown by fusion_note().
  void set_joined(bool on) { joined_ = on; }
  bool joined() const { return joined_; }

 private:
  void clear_own_rest() override { addend_ = {}; }

  void forward_padded(const Tensor& x, const Tensor& addend, Tensor& y) const;

  std::shared_ptr<const ops::FrozenConv> conv_;
  Norm norm_;
  bool joined_ = false;
  Tensor addend_;
};

}  // namespace evenkeel::nn
