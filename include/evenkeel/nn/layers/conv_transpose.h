// Transposed convolutions over one to three spatial dimensions.
#pragma once

#include <cstdint>

#include <evenkeel/nn/layers/sizes.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/ops/conv.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
template <int Rank>
struct TransposedConvolutionOptions {
  Sizes<Rank> stride = 1;
  Sizes<Rank> padding = 0;         ///< cut off both sides of the result
  Sizes<Rank> output_padding = 0;  ///< added to its end, below stride
  Sizes<Rank> dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};
using ConvTranspose1dOptions = TransposedConvolutionOptions<1>;
using ConvTranspose2dOptions = TransposedConvolutionOptions<2>;
using ConvTranspose3dOptions = TransposedConvolutionOptions<3>;

/// What ConvTranspose1d, 2d and 3d share: the gradient of a convolution with respect to its input,
/// as a layer. x [N, in_channels, spatial...] in either layout → y [N, out_channels, spatial...] in
/// x's layout, f32 or f64 like the parameters (bf16: Module); each extent becomes (I − 1)·stride −
/// 2·padding + dilation·(K − 1) + output_padding + 1. Parameters, in PyTorch's order: weight
/// [in_channels, out_channels/groups, kernel...], bias [out_channels].
class TransposedConvolution : public Module {
 public:
  std::string_view type() const override;
  Options options() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// PyTorch's: weight and bias from U(±1/√(out_channels/groups·kernel)).
  void reset_parameters(Random& random) override;

  int spatial_rank() const { return spatial_rank_; }
  std::int64_t in_channels() const { return in_; }
  std::int64_t out_channels() const { return out_; }
  bool has_bias() const { return bias_; }
  const ops::ConvOptions& geometry() const { return geometry_; }
  const ops::Spatial& output_padding() const { return output_padding_; }
  Parameter& weight() { return parameter(0); }
  /// Throws UsageError where the layer has none.
  Parameter& bias();

 protected:
  TransposedConvolution(int spatial_rank, std::int64_t in_channels, std::int64_t out_channels,
                        const ops::Spatial& kernel, const ops::ConvOptions& geometry,
                        const ops::Spatial& output_padding, bool bias);

 private:
  SavedBase* own_saved() override { return &saved_; }

  int spatial_rank_;
  std::int64_t in_, out_;
  ops::Spatial kernel_;
  ops::ConvOptions geometry_;
  ops::Spatial output_padding_;
  bool bias_;
  SavedStack<Tensor> saved_;  // x
};

template <int Rank>
class ConvTransposeNd : public Cloneable<ConvTransposeNd<Rank>, TransposedConvolution> {
 public:
  /// Throws UsageError for values out of range.
  ConvTransposeNd(std::int64_t in_channels, std::int64_t out_channels, Sizes<Rank> kernel_size,
                  TransposedConvolutionOptions<Rank> options = {});
};

using ConvTranspose1d = ConvTransposeNd<1>;  ///< x [N, C, L]
using ConvTranspose2d = ConvTransposeNd<2>;  ///< x [N, C, H, W]
using ConvTranspose3d = ConvTransposeNd<3>;  ///< x [N, C, D, H, W]

}  // namespace evenkeel::nn
