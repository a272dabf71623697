// Transposed convolutions over one and two spatial dimensions.
#pragma once

#include <cstdint>

#include <evenkeel/nn/layers/pair.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/ops/conv.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them. So for the other options here.
struct ConvTranspose1dOptions {
  std::int64_t stride = 1;
  std::int64_t padding = 0;         ///< cut off both sides of the result
  std::int64_t output_padding = 0;  ///< added to its end, below stride
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};
struct ConvTranspose2dOptions {
  Pair stride = 1;
  Pair padding = 0;
  Pair output_padding = 0;
  Pair dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// What ConvTranspose1d and 2d share: the gradient of a convolution with respect to its input, as a
/// layer. x [N, in_channels, spatial...] in either layout → y [N, out_channels, spatial...] in x's
/// layout, f32 or f64 like the parameters (bf16: Module); each extent becomes (I − 1)·stride −
/// 2·padding + dilation·(K − 1) + output_padding + 1. Parameters, in PyTorch's order: weight
/// [in_channels, out_channels/groups, kernel...], bias [out_channels].
class TransposedConvolution : public Module {
 public:
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// PyTorch's: weight and bias from U(±1/√(out_channels/groups·kernel)).
  void reset_parameters(Random& random) override;

  std::int64_t in_channels() const { return in_; }
  std::int64_t out_channels() const { return out_; }
  bool has_bias() const { return bias_; }
  const ops::ConvOptions& geometry() const { return geometry_; }
  Pair output_padding() const { return output_padding_; }
  Parameter& weight() { return parameter(0); }
  /// Throws UsageError where the layer has none.
  Parameter& bias();

 protected:
  TransposedConvolution(int spatial_rank, std::int64_t in_channels, std::int64_t out_channels,
                        Pair kernel, const ops::ConvOptions& geometry, Pair output_padding,
                        bool bias);

 private:
  SavedBase* own_saved() override { return &saved_; }

  int spatial_rank_;
  std::int64_t in_, out_;
  Pair kernel_;
  ops::ConvOptions geometry_;
  Pair output_padding_;
  bool bias_;
  SavedStack<Tensor> saved_;  // x
};

/// x [N, C, L].
class ConvTranspose1d : public Cloneable<ConvTranspose1d, TransposedConvolution> {
 public:
  /// Throws UsageError for values out of range.
  ConvTranspose1d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel_size,
                  ConvTranspose1dOptions options = {});
  std::string_view type() const override { return "ConvTranspose1d"; }
};

/// x [N, C, H, W].
class ConvTranspose2d : public Cloneable<ConvTranspose2d, TransposedConvolution> {
 public:
  /// Throws UsageError for values out of range.
  ConvTranspose2d(std::int64_t in_channels, std::int64_t out_channels, Pair kernel_size,
                  ConvTranspose2dOptions options = {});
  std::string_view type() const override { return "ConvTranspose2d"; }
};

}  // namespace evenkeel::nn
