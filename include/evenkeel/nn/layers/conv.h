// Convolution layers over one to three spatial dimensions.
#pragma once

#include <cstdint>

#include <evenkeel/nn/kept.h>
#include <evenkeel/nn/layers/sizes.h>
#include <evenkeel/nn/module.h>
#include <evenkeel/ops/conv.h>

namespace evenkeel::nn {

/// Changing them later has no effect: the layer copies them.
template <int Rank>
struct ConvolutionOptions {
  Sizes<Rank> stride = 1;
  Sizes<Rank> padding = 0;   ///< zeros on both sides
  Sizes<Rank> dilation = 1;  ///< distance between taps; 1: dense
  std::int64_t groups = 1;   ///< divides both channel counts
  bool bias = true;
  bool weight_standardization = false;  ///< see Convolution
  double weight_eps = 1e-5;             ///< ε beside the variance of the weights
};
using Conv1dOptions = ConvolutionOptions<1>;
using Conv2dOptions = ConvolutionOptions<2>;
using Conv3dOptions = ConvolutionOptions<3>;

/// What Conv1d, 2d and 3d share. x [N, in_channels, spatial...] in either layout → y [N,
/// out_channels, spatial...] in x's layout, f32 or f64 like the parameters (bf16: Module); each
/// extent becomes (I + 2·padding − dilation·(K − 1) − 1) / stride + 1, rounded down. Parameters, in
/// PyTorch's order: weight [out_channels, in_channels/groups, kernel...], bias [out_channels].
///
/// With weight standardization (Qiao et al., 2019), made for convolutions before a group norm, x
/// meets Ŵ = (W − μ)/√(σ² + weight_eps) instead of the weight W, with μ and σ² (biased) over each
/// output channel of W; W is what is learned and saved. An output channel of one value is a
/// UsageError.
class Convolution : public Module {
 public:
  std::string_view type() const override;
  Options options() const override;
  std::string mode_note() const override;
  Shape output_shape(const Shape& input) const override;
  Tensor forward(const Tensor& x) override;
  Tensor backward(const Tensor& dy) override;
  /// PyTorch's: weight and bias from U(±1/√(in_channels/groups·kernel)).
  void reset_parameters(Random& random) override;

  int spatial_rank() const { return spatial_rank_; }
  std::int64_t in_channels() const { return in_; }
  std::int64_t out_channels() const { return out_; }
  bool has_bias() const { return bias_; }
  const ops::ConvOptions& geometry() const { return geometry_; }
  bool weight_standardization() const { return weight_standardization_; }
  /// What the input is convolved with: the weight itself, or Ŵ in memory of its own.
  Tensor effective_weight() const;
  Parameter& weight() { return parameter(0); }
  /// Throws UsageError where the layer has none.
  Parameter& bias();

 protected:
  Convolution(int spatial_rank, std::int64_t in_channels, std::int64_t out_channels,
              const ops::Spatial& kernel, const ops::ConvOptions& geometry, bool bias,
              bool weight_standardization, double weight_eps);

 private:
  SavedBase* own_saved() override { return &saved_; }
  void check_options() const;

  int spatial_rank_;
  std::int64_t in_;
  std::int64_t out_;
  ops::Spatial kernel_;
  ops::ConvOptions geometry_;
  bool bias_;
  bool weight_standardization_;
  double weight_eps_;
  SavedStack<Kept> saved_;  // x
};

template <int Rank>
class ConvNd : public Cloneable<ConvNd<Rank>, Convolution> {
 public:
  /// Throws UsageError for values out of range.
  ConvNd(std::int64_t in_channels, std::int64_t out_channels, Sizes<Rank> kernel_size,
         ConvolutionOptions<Rank> options = {});
};

using Conv1d = ConvNd<1>;  ///< x [N, C, L]
using Conv2d = ConvNd<2>;  ///< x [N, C, H, W]
using Conv3d = ConvNd<3>;  ///< x [N, C, D, H, W]

}  // namespace evenkeel::nn
